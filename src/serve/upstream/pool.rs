//! Connections over HTTP/1.1 to one address, kept and used again.
//!
//! hyper-util's client does that too, for any number of addresses and both versions of HTTP, at the price of a hash of the URL, a race
//! between a kept connection and a new one, and a task that gives the connection back, for each answer.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt};

use super::transfer::Upload;

/// Why a request has no answer.
#[derive(Debug)]
pub enum Unanswered {
    Connect(Cause),
    Broken(Cause),
}

pub type Cause = Box<dyn StdError + Send + Sync>;

/// Makes connections by `C`, as many as there are requests at the same time.
#[derive(Debug, Clone)]
pub struct Pool<C> {
    connector: C,
    target: Uri,
    kept: Arc<Kept>,
}

impl<C> Pool<C>
where
    C: Service<Uri, Error: Into<Cause>> + Clone,
    C::Response: Read + Write + Unpin + Send + 'static,
{
    /// `lasting` is how long a connection is kept that nothing is asked on.
    pub fn new(connector: C, target: Uri, lasting: Duration) -> Self {
        Pool { connector, target, kept: Arc::new(Kept { lasting, idle: Mutex::default() }) }
    }

    /// The answer, and what its connection is given back by once it has been read.
    pub async fn send(&self, mut request: Request<Upload>) -> Result<(Response<Incoming>, Lease), Unanswered> {
        loop {
            let kept = self.kept.take();
            let was_kept = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                // A rare thing that takes much room is not to be a part of every request.
                None => Box::pin(self.connect()).await.map_err(Unanswered::Connect)?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    return Ok((response, Lease { sender: Some(sender), kept: Arc::clone(&self.kept) }));
                }
                // Nothing of it was sent if it comes back: the other side had closed the connection.
                Err(mut error) => match error.take_message().filter(|_| was_kept) {
                    Some(unsent) => request = unsent,
                    None => return Err(Unanswered::Broken(error.into_error().into())),
                },
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Upload>, Cause> {
        let io = self.connector.clone().oneshot(self.target.clone()).await.map_err(Into::into)?;
        let (sender, connection) = http1::handshake(io).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the application broke");
            }
        });
        Ok(sender)
    }
}

/// A connection on which an answer is being read. It is kept after that.
#[derive(Debug)]
pub struct Lease {
    sender: Option<SendRequest<Upload>>,
    kept: Arc<Kept>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut sender) = self.sender.take().filter(|sender| !sender.is_closed()) else { return };
        if sender.is_ready() {
            self.kept.put(sender);
        } else if let Ok(runtime) = Handle::try_current() {
            // What is left of the answer is read, if that is little, or the connection ends.
            let kept = Arc::clone(&self.kept);
            runtime.spawn(async move {
                if sender.ready().await.is_ok() {
                    kept.put(sender);
                }
            });
        }
    }
}

/// Connections on which nothing is asked.
#[derive(Debug)]
struct Kept {
    lasting: Duration,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// With when each was last used; the latest at the end.
    senders: VecDeque<(SendRequest<Upload>, Instant)>,
    /// Whether somebody looks after them.
    is_swept: bool,
}

impl Kept {
    /// The one that was used last, so that those that are too many grow old.
    fn take(&self) -> Option<SendRequest<Upload>> {
        let mut idle = self.lock();
        let usable = |(sender, since): (SendRequest<Upload>, Instant)| {
            (sender.is_ready() && since.elapsed() < self.lasting).then_some(sender)
        };
        std::iter::from_fn(|| idle.senders.pop_back()).find_map(usable)
    }

    fn put(self: &Arc<Self>, sender: SendRequest<Upload>) {
        let mut idle = self.lock();
        idle.senders.push_back((sender, Instant::now()));
        // Where there is no runtime any more, nothing has to be closed.
        if let (false, Ok(runtime)) = (idle.is_swept, Handle::try_current()) {
            idle.is_swept = true;
            runtime.spawn(Kept::sweep(Arc::downgrade(self)));
        }
    }

    /// Closes those that have not been used for long, as long as there are some.
    async fn sweep(kept: Weak<Kept>) {
        loop {
            let Some(lasting) = kept.upgrade().map(|kept| kept.lasting) else { return };
            sleep(lasting).await;
            let Some(kept) = kept.upgrade() else { return };
            let mut idle = kept.lock();
            idle.senders.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < lasting);
            if idle.senders.is_empty() {
                idle.is_swept = false;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
