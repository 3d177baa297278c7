//! The server: accepts connections, speaks HTTP/1.1 and HTTP/2 (in the clear, by prior knowledge) on them, and stops without cutting
//! off a request.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::{Service, ServiceExt};

use crate::error::{Error, Result};

/// Bytes of a request's line and headers in HTTP/1.1; hyper answers 431 to more.
const LARGEST_HEAD: usize = 32 * 1024;

/// How long to leave accepting alone after it failed for want of something that others have to give back (EMFILE, ENOMEM).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A socket that listens already, and is served from by [`Server::run`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

/// How long a server waits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the whole head of a request, on an idle connection too.
    pub header_read: Duration,
    /// For requests under way when the server stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { header_read: Duration::from_secs(30), grace: Duration::from_secs(10) }
    }
}

impl Server {
    /// Listens on `HOST:PORT`; port 0 takes a free one. From here on connections are taken in, and wait for [`Server::run`].
    pub async fn bind(address: &str) -> Result<Self> {
        let listen = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Server { listener, address, limits: Limits::default() })
        };
        listen.await.map_err(|source| Error::Listen { address: address.to_owned(), source })
    }

    pub fn with_limits(self, limits: Limits) -> Self {
        Server { limits, ..self }
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready; then lets go of the port, and waits for requests under way as long as [`Limits::grace`].
    pub async fn run<S, B>(self, service: S, shutdown: impl Future<Output = ()>)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Server { listener, limits, .. } = self;
        let builder = builder(limits);
        let graceful = GracefulShutdown::new();
        // Dropped at the end, and with it every connection that is still open by then.
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let stream = tokio::select! {
                stream = accept(&listener) => stream,
                Some(_) = connections.join_next() => continue,
                () = &mut shutdown => break,
            };
            // Without it the end of a response may wait for the client's delayed acknowledgement; it works without it, too.
            let _ = stream.set_nodelay(true);
            let spoken = Arc::new(AtomicBool::new(false));
            let heard = Arc::clone(&spoken);
            let service = service.clone().map_request(move |request| {
                heard.store(true, Ordering::Relaxed);
                request
            });
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            let connection = graceful.watch(connection.into_owned());
            connections.spawn(async move {
                let mut connection = pin!(connection);
                // hyper's own limit begins once it knows the version, so it doesn't hold for who sends nothing, or half of
                // HTTP/2's preface.
                tokio::select! {
                    _ = &mut connection => return,
                    () = tokio::time::sleep(limits.header_read) => {}
                }
                if spoken.load(Ordering::Relaxed) {
                    // A failed connection concerns its client alone.
                    let _ = connection.await;
                }
            });
        }
        drop(listener);
        let _ = tokio::time::timeout(limits.grace, graceful.shutdown()).await;
    }
}

fn builder(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_read).max_buf_size(LARGEST_HEAD);
    builder.http2().timer(TokioTimer::new());
    builder
}

/// The next connection. What fails is told by the client, or passes; the server goes on.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_the_connection(&error) => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// accept(2): an error that the network has for the new connection already.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
