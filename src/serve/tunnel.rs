//! What a connection becomes that is HTTP's no more: bytes both ways, between a client and an application (RFC 9110 section 7.8).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};

/// Where a request's service leaves the other end of what its connection is to become.
#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<Mutex<Option<OnUpgrade>>>);

impl Switch {
    /// The other end, once the application has switched too.
    pub fn set(&self, other: OnUpgrade) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(other);
    }

    pub fn take(&self) -> Option<OnUpgrade> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Passes on what comes, both ways, until both sides have ended. `unread` has come from the client already.
pub async fn run<C>(client: &mut C, unread: &[u8], other: OnUpgrade) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut other = TokioIo::new(other.await.map_err(io::Error::other)?);
    other.write_all(unread).await?;
    other.flush().await?;
    copy_bidirectional(client, &mut other).await.map(drop)
}
