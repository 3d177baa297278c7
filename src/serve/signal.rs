//! What the system asks of a server: to stop, or to load its release again.

use crate::error::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C, or on Unix SIGTERM.
    Stop,
    /// SIGHUP, on Unix.
    Reload,
}

/// The process's signals. From [`Signals::install`] on they no longer end it.
#[derive(Debug)]
pub struct Signals(system::Signals);

impl Signals {
    pub fn install() -> Result<Self> {
        Ok(Signals(system::Signals::install()?))
    }

    pub async fn next(&mut self) -> Signal {
        self.0.next().await
    }
}

#[cfg(unix)]
mod system {
    use super::Signal;
    use crate::error::{Error, Result};
    use tokio::signal::unix::{self, SignalKind};

    #[derive(Debug)]
    pub struct Signals {
        interrupt: unix::Signal,
        terminate: unix::Signal,
        hangup: unix::Signal,
    }

    impl Signals {
        pub fn install() -> Result<Self> {
            let listen = |kind, name| unix::signal(kind).map_err(Error::io("handle the signal", name));
            Ok(Signals {
                interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
                terminate: listen(SignalKind::terminate(), "SIGTERM")?,
                hangup: listen(SignalKind::hangup(), "SIGHUP")?,
            })
        }

        pub async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.interrupt.recv() => Signal::Stop,
                _ = self.terminate.recv() => Signal::Stop,
                _ = self.hangup.recv() => Signal::Reload,
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use super::Signal;
    use crate::error::Result;

    #[derive(Debug)]
    pub struct Signals;

    impl Signals {
        pub fn install() -> Result<Self> {
            Ok(Signals)
        }

        pub async fn next(&mut self) -> Signal {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Signal::Stop,
                Err(_) => std::future::pending().await,
            }
        }
    }
}
