//! Connections over HTTP/1.1 to one address, kept and used again.
//!
//! Whoever waits for an answer drives its connection, so that what comes is read, changed and passed on at once, while it is in the
//! processor's caches. (With a task for each connection, the answers of all are read before the first is passed on, and hyper-util's client,
//! which does that for any number of addresses, takes several times as long by itself.)

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response, Uri};
use http_body::Body as _;
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

    /// The answer, and the connection by which its body comes.
    pub async fn send(&self, mut request: Request<Upload>) -> Result<(Response<Incoming>, Lease), Unanswered> {
        loop {
            let kept = self.kept.take();
            let was_kept = kept.is_some();
            let mut link = match kept {
                Some(link) => link,
                // A rare thing that takes much room is not to be a part of every request.
                None => Box::pin(self.connect()).await.map_err(Unanswered::Connect)?,
            };
            // An end that has come meanwhile is seen now.
            poll_fn(|cx| {
                link.drive(cx);
                Poll::Ready(())
            })
            .await;
            if !request.body().is_end_stream() {
                // Its body goes on whether or not anybody takes what comes back.
                link.go_by_itself();
            }
            let mut sent = pin!(link.sender.try_send_request(request));
            let answered = poll_fn(|cx| {
                link.drive(cx);
                sent.as_mut().poll(cx)
            });
            match answered.await {
                Ok(response) => return Ok((response, Lease { link: Some(link), kept: Arc::clone(&self.kept) })),
                // Nothing of it was sent if it comes back: the other side had closed the connection.
                Err(mut error) => match error.take_message().filter(|_| was_kept) {
                    Some(unsent) => request = unsent,
                    None => return Err(Unanswered::Broken(error.into_error().into())),
                },
            }
        }
    }

    async fn connect(&self) -> Result<Link, Cause> {
        let io = self.connector.clone().oneshot(self.target.clone()).await.map_err(Into::into)?;
        let (sender, connection) = http1::handshake(io).await?;
        let connection = connection.with_upgrades();
        let driver = Box::pin(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the application broke");
            }
        });
        Ok(Link { sender, driver: Some(driver) })
    }
}

/// A connection. It does nothing by itself.
struct Link {
    sender: SendRequest<Upload>,
    /// None once it has ended, or goes by itself.
    driver: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("sender", &self.sender).finish_non_exhaustive()
    }
}

impl Link {
    /// Lets it do what it can.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
            self.driver = None;
        }
    }

    fn go_by_itself(&mut self) {
        if let (Some(driver), Ok(runtime)) = (self.driver.take(), Handle::try_current()) {
            runtime.spawn(driver);
        }
    }
}

/// A connection by which an answer comes. It is kept after that.
#[derive(Debug)]
pub struct Lease {
    link: Option<Link>,
    kept: Arc<Kept>,
}

impl Lease {
    /// Lets the connection do what it can. Who waits for what comes by it has to ask for that first.
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(link) = &mut self.link {
            link.drive(cx);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        if link.sender.is_ready() {
            self.kept.put(link);
            return;
        }
        // What is left of the answer is read, if that is little, or the connection ends, or becomes another one.
        link.go_by_itself();
        if let (false, Ok(runtime)) = (link.sender.is_closed(), Handle::try_current()) {
            let kept = Arc::clone(&self.kept);
            runtime.spawn(async move {
                if link.sender.ready().await.is_ok() {
                    kept.put(link);
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
    links: VecDeque<(Link, Instant)>,
    /// Whether somebody looks after them.
    is_swept: bool,
}

impl Kept {
    /// The one that was used last, so that those that are too many grow old.
    fn take(&self) -> Option<Link> {
        let mut idle = self.lock();
        let usable =
            |(link, since): (Link, Instant)| (link.sender.is_ready() && since.elapsed() < self.lasting).then_some(link);
        std::iter::from_fn(|| idle.links.pop_back()).find_map(usable)
    }

    fn put(self: &Arc<Self>, link: Link) {
        let mut idle = self.lock();
        idle.links.push_back((link, Instant::now()));
        if !mem::replace(&mut idle.is_swept, true) {
            tokio::spawn(Kept::sweep(Arc::downgrade(self), self.lasting));
        }
    }

    /// Closes those that the other side has closed, or that have not been used for long, as long as there are some.
    async fn sweep(kept: Weak<Self>, lasting: Duration) {
        loop {
            sleep(lasting / 20).await;
            let Some(kept) = kept.upgrade() else { return };
            let mut idle = kept.lock();
            idle.links.retain_mut(|(link, since)| {
                link.drive(&mut Context::from_waker(Waker::noop()));
                !link.sender.is_closed() && since.elapsed() < lasting
            });
            if idle.links.is_empty() {
                idle.is_swept = false;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
