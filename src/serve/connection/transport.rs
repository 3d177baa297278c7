//! What connections are spoken over: TCP, or TLS over it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::vitals::{Order, Stage, Vitals};

/// Bytes that are thrown away at most, of a client that goes on sending after its answer.
const DRAINED_AT_MOST: usize = 1 << 20;

pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Whether what is written to the socket arrives as it is, so that the system can put files there by itself.
    const SENDS_FILES: bool;

    fn socket(&self) -> &TcpStream;
}

impl Transport for TcpStream {
    const SENDS_FILES: bool = true;

    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Transport for TlsStream<TcpStream> {
    const SENDS_FILES: bool = false;

    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// The end of a connection: says that nothing follows, then reads and throws away what the client still sends, until it has seen that.
#[derive(Debug, Default)]
pub struct Ending {
    is_shut: bool,
    drained: usize,
}

impl Ending {
    pub fn poll<T: Transport>(&mut self, io: &mut T, vitals: &Vitals, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
            self.is_shut = true;
            if vitals.may_have_more() {
                vitals.enter(Stage::Leaving);
            }
        }
        if vitals.stage() != Stage::Leaving {
            return Poll::Ready(Ok(()));
        }
        let socket = io.socket();
        let mut scratch = [0; 4096];
        while self.drained < DRAINED_AT_MOST {
            match socket.try_read(&mut scratch) {
                Ok(0) => break,
                Ok(count) => self.drained += count,
                // Whoever was waited for long enough is not waited for.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && vitals.order() == Some(Order::Cut) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_read_ready(cx))?,
                // A reset is an end, too.
                Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
