//! An HTTP client, over TLS where the URL says so, which trusts whom this machine trusts.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, Error as TlsError, RootCertStore};

const CONNECT: Duration = Duration::from_secs(5);

/// Keeps connections, and speaks HTTP/2 where the other side does.
#[derive(Debug, Clone)]
pub struct Client(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Client {
    pub fn new() -> Result<Self, TlsError> {
        let connector = connector(CONNECT)?;
        Ok(Client(legacy::Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// The answer, whose body is still to come; its URL is the request's.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>, legacy::Error> {
        self.0.request(request.map(Full::new)).await
    }
}

/// TLS with whom this machine trusts: its own authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`. It says nothing of what is
/// spoken over it.
pub fn tls() -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Connects over TLS where the URL says so, and lets the other side choose HTTP/2 there. `patience` is for TCP's part of it.
pub fn connector(patience: Duration) -> Result<HttpsConnector<HttpConnector>, TlsError> {
    let tls = tls()?;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(patience));
    Ok(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().wrap_connector(http))
}

/// An error with all its causes: the first layers say no more than that there is one.
pub fn reason(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
