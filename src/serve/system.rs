//! What passes between this process and the system that started it: a socket to listen on, word of how it goes, and room for files.

use std::io;
use std::net::TcpListener;
use std::os::fd::{OwnedFd, RawFd};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, Resource, Rlimit};
use sd_notify::NotifyState;

use crate::error::{Error, Result};

/// What a service manager is told (sd_notify(3)); `Type=notify` waits for the first of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Connections are accepted; also the end of a reload.
    Ready,
    Reloading,
    Stopping,
}

/// Tells it, if there is one. That it does not listen is no reason to stop serving.
pub fn notify(notice: Notice) {
    let states = match notice {
        Notice::Ready => vec![NotifyState::Ready],
        // `Type=notify-reload` takes the one only with the other.
        Notice::Reloading => {
            [NotifyState::Reloading].into_iter().chain(NotifyState::monotonic_usec_now().ok()).collect()
        }
        Notice::Stopping => vec![NotifyState::Stopping],
    };
    let _ = sd_notify::notify(&states);
}

/// The socket that the service manager listens on for this process (sd_listen_fds(3)).
///
/// Fails if it hands over several, or one that takes no TCP connections.
pub fn handed_socket() -> Result<Option<TcpListener>> {
    let handed = sd_notify::listen_fds().map(Iterator::collect::<Vec<RawFd>>);
    let handed = handed.map_err(|error| unusable(&error.to_string()))?;
    match handed.as_slice() {
        [] => Ok(None),
        [descriptor] => own(*descriptor).map(Some).map_err(|error| unusable(&error.to_string())),
        several => Err(unusable(&format!("there are {} of them", several.len()))),
    }
}

fn unusable(reason: &str) -> Error {
    Error::Usage {
        message: format!("could not take over the socket of the service manager: {reason}"),
        help: "hand over one TCP socket: one `ListenStream=` with a port, and `Accept=no`".to_owned(),
    }
}

/// A descriptor of this process's own, of the socket that it was started with. A number is not yet a descriptor that may be owned, so
/// it is asked for as another process would.
fn own(descriptor: RawFd) -> io::Result<TcpListener> {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    let socket: OwnedFd = rustix::process::pidfd_getfd(own, descriptor, PidfdGetfdFlags::empty())?;
    if !rustix::net::sockopt::socket_acceptconn(&socket)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    let listener = TcpListener::from(socket);
    listener.local_addr()?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Lets this process open as many files and connections as the system allows: the soft limit is there for programs that use
/// `select` (systemd's NEWS for 240). Where it fails, there are fewer.
pub fn raise_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    }
}
