//! Connections to the application: kept, and used again.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;

use super::transfer::Upload;
use crate::client;
use crate::config::{Origin, UpstreamHost};
use crate::error::{Error, Result};

/// How long a connection is kept that nothing is asked on. gunicorn's are closed after 2 s; a request that comes to one just then is
/// sent again on another.
const KEPT: Duration = Duration::from_secs(60);

/// The application, as requests are sent to it.
#[derive(Debug, Clone)]
pub struct Connections {
    client: Kind,
    scheme: Scheme,
    /// What its `Host` is called where it is asked by its own name.
    pub authority: Authority,
    /// Whether it is spoken to in HTTP/2.
    pub is_h2c: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    Network(Client<HttpsConnector<HttpConnector>, Upload>),
    Unix(Client<Socket, Upload>),
}

impl Connections {
    /// `host` is that by which it is asked.
    pub fn new(origin: &Origin, host: UpstreamHost, patience: Duration) -> Result<Self> {
        let builder = |is_h2c| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder.pool_idle_timeout(KEPT).pool_timer(TokioTimer::new()).set_host(false).http2_only(is_h2c);
            builder
        };
        Ok(match origin {
            Origin::Network { scheme, authority, is_h2c } => {
                let connector = match host {
                    UpstreamHost::Client => http1(patience)?,
                    UpstreamHost::Upstream => client::connector(patience).map_err(no_tls)?,
                };
                let client = Kind::Network(builder(*is_h2c).build(connector));
                Connections { client, scheme: scheme.clone(), authority: authority.clone(), is_h2c: *is_h2c }
            }
            Origin::Unix(path) => {
                let client = Kind::Unix(builder(false).build(Socket { path: path.as_path().into(), patience }));
                let authority = Authority::from_static("localhost");
                Connections { client, scheme: Scheme::HTTP, authority, is_h2c: false }
            }
        })
    }

    /// The URL of what a client asks for, at the application.
    pub fn uri(&self, asked: &Uri) -> Result<Uri, http::Error> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = asked.path_and_query().cloned().or_else(|| Some(PathAndQuery::from_static("/")));
        Ok(Uri::from_parts(parts)?)
    }

    pub async fn send(&self, request: Request<Upload>) -> Result<Response<Incoming>, legacy::Error> {
        match &self.client {
            Kind::Network(client) => client.request(request).await,
            Kind::Unix(client) => client.request(request).await,
        }
    }
}

/// Connects over TLS where the URL says so, and lets the other side choose nothing but HTTP/1.1 there: in HTTP/2 the host is in
/// `:authority`, which is always the URL's own here.
fn http1(patience: Duration) -> Result<HttpsConnector<HttpConnector>> {
    let tls = client::tls().map_err(no_tls)?;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(patience));
    Ok(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(http))
}

fn no_tls(error: impl Display) -> Error {
    Error::Usage {
        message: format!("TLS to the application can't be had: {error}"),
        help: "ask it in the clear, by `http://`".to_owned(),
    }
}

/// Connects to a socket in the file system, whatever the URL.
#[derive(Debug, Clone)]
struct Socket {
    path: Arc<Path>,
    patience: Duration,
}

impl tower::Service<Uri> for Socket {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<UnixStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Socket { path, patience } = self.clone();
        Box::pin(async move {
            match tokio::time::timeout(patience, UnixStream::connect(&path)).await {
                Ok(connected) => connected.map(TokioIo::new),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            }
        })
    }
}
