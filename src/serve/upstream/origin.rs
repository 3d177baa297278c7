//! How the application is asked.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;

use super::pool::{Pool, Unanswered};
use super::transfer::{Download, Upload};
use crate::client;
use crate::config::{Origin, UpstreamHost};
use crate::error::{Error, Result};

/// How long a connection is kept that nothing is asked on. gunicorn's are closed after 2 s; a request that comes to one just then is
/// sent again on another.
const KEPT: Duration = Duration::from_secs(60);

/// The application, as requests are sent to it.
#[derive(Debug)]
pub struct Connections {
    kind: Kind,
    scheme: Scheme,
    /// What its `Host` is called where it is asked by its own name.
    pub authority: Authority,
    /// Whether it is spoken to in HTTP/2.
    pub is_h2c: bool,
}

#[derive(Debug)]
enum Kind {
    Network(Pool<HttpsConnector<HttpConnector>>),
    Unix(Pool<Socket>),
    /// In HTTP/2, or where the other side may choose it.
    Either(Client<HttpsConnector<HttpConnector>, Upload>),
}

impl Connections {
    /// `host` is that by which it is asked.
    pub fn new(origin: &Origin, host: UpstreamHost, patience: Duration) -> Result<Self> {
        let target = |scheme: &Scheme, authority: &Authority| {
            let uri = Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query("/").build();
            uri.map_err(|error| Error::Usage {
                message: format!("the application's URL is none: {error}"),
                help: "write it as `http://HOST:PORT`".to_owned(),
            })
        };
        Ok(match origin {
            Origin::Network { scheme, authority, is_h2c } => {
                let may_choose = *scheme == Scheme::HTTPS && host == UpstreamHost::Upstream;
                let kind = if *is_h2c || may_choose {
                    let mut builder = Client::builder(TokioExecutor::new());
                    builder.pool_idle_timeout(KEPT).pool_timer(TokioTimer::new()).set_host(false).http2_only(*is_h2c);
                    Kind::Either(builder.build(client::connector(patience).map_err(no_tls)?))
                } else {
                    Kind::Network(Pool::new(http1(patience)?, target(scheme, authority)?, KEPT))
                };
                Connections { kind, scheme: scheme.clone(), authority: authority.clone(), is_h2c: *is_h2c }
            }
            Origin::Unix(path) => {
                let authority = Authority::from_static("localhost");
                let socket = Socket { path: path.as_path().into(), patience };
                let kind = Kind::Unix(Pool::new(socket, target(&Scheme::HTTP, &authority)?, KEPT));
                Connections { kind, scheme: Scheme::HTTP, authority, is_h2c: false }
            }
        })
    }

    /// The URL of what a client asks for, as the application is asked for it.
    pub fn uri(&self, asked: &Uri) -> Result<Uri, http::Error> {
        let path = asked.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        if let Kind::Network(_) | Kind::Unix(_) = self.kind {
            // RFC 9112 section 3.2.1.
            return Ok(path.into());
        }
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Ok(Uri::from_parts(parts)?)
    }

    pub async fn send(&self, request: Request<Upload>) -> Result<Response<Download>, Unanswered> {
        let (response, lease) = match &self.kind {
            Kind::Network(pool) => pool.send(request).await?,
            Kind::Unix(pool) => pool.send(request).await?,
            Kind::Either(client) => match client.request(request).await {
                Ok(response) => return Ok(response.map(|body| Download::new(body, None))),
                Err(error) if error.is_connect() => return Err(Unanswered::Connect(error.into())),
                Err(error) => return Err(Unanswered::Broken(error.into())),
            },
        };
        Ok(response.map(|body| Download::new(body, Some(lease))))
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
