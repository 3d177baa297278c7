//! TLS: which certificate is shown, and how a handshake goes. The certificate can be changed while connections are open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::error::{Error, Result};

/// HTTP/2's name in ALPN (RFC 9113 section 3.2).
pub const HTTP_2: &[u8] = b"h2";

const HTTP_1: &[u8] = b"http/1.1";

/// Sessions that are kept for clients of TLS 1.2 that take no tickets.
const SESSIONS: usize = 10_240;

/// Where a certificate lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then those that lead up to a root.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// A server's side of TLS. Clones share the certificate.
#[derive(Debug, Clone)]
pub struct Tls {
    files: TlsFiles,
    certificate: Arc<Certificate>,
    config: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Certificate(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Reads a certificate. Sessions are resumed by tickets, whose keys change as time goes by, and from memory.
    ///
    /// Fails if a file can't be read, or is not what it should be, or if the two don't belong together.
    pub fn load(files: TlsFiles) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificate = Arc::new(Certificate(ArcSwap::from_pointee(certified(&files, &provider)?)));
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder
            .map_err(|error| refused(&files.cert, &error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| refused(&files.cert, &error))?;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        Ok(Tls { files, certificate, config: Arc::new(config) })
    }

    /// Reads the files again, for handshakes from now on. If that fails, the certificate stays what it was.
    pub fn reload(&self) -> Result<()> {
        let certified = certified(&self.files, self.config.crypto_provider())?;
        self.certificate.0.store(Arc::new(certified));
        Ok(())
    }

    pub(super) fn accept(&self, stream: TcpStream) -> impl Future<Output = io::Result<TlsStream<TcpStream>>> + Send {
        TlsAcceptor::from(Arc::clone(&self.config)).accept(stream)
    }
}

fn certified(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let chain: std::result::Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect);
    let chain = chain.map_err(|error| unreadable("certificate", &files.cert, &error))?;
    if chain.is_empty() {
        return Err(unreadable("certificate", &files.cert, &pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unreadable("key", &files.key, &error))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Error::Usage {
            message: format!(
                "the key `{}` is not that of the certificate `{}`",
                files.key.display(),
                files.cert.display()
            ),
            help: "pass the key that the certificate was made for, and the server's own certificate first in its file"
                .to_owned(),
        },
        error => refused(&files.cert, &error),
    })
}

fn unreadable(what: &str, path: &Path, error: &pem::Error) -> Error {
    let (reason, help) = match error {
        pem::Error::Io(error) => (error.to_string(), "check the path, and that this user may read it"),
        pem::Error::NoItemsFound => (format!("there is no {what} in it"), "it has to be in PEM format"),
        error => (error.to_string(), "it has to be in PEM format"),
    };
    Error::Usage { message: format!("could not read the {what} `{}`: {reason}", path.display()), help: help.to_owned() }
}

fn refused(path: &Path, error: &rustls::Error) -> Error {
    Error::Usage {
        message: format!("the certificate `{}` can't be used: {error}", path.display()),
        help: "check it with `openssl x509 -text -noout -in FILE`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Digest;
    use crate::serve::fixture::{Client, PATIENCE};
    use crate::serve::{Handle, Handler, Limits, Resource, Server, TableBuilder};
    use bytes::Bytes;
    use http::{HeaderMap, Request, Version};
    use http_body_util::{BodyExt, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use rustls_pki_types::ServerName;
    use std::net::SocketAddr;
    use std::time::Duration;
    use tokio::time::timeout;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::client::{Resumption, Tls12Resumption};
    use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, version};

    /// A new certificate for `localhost`, written where it is named.
    fn certificate(folder: &Path, name: &str) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let files = TlsFiles { cert: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    /// A client that trusts a certificate, and remembers sessions.
    fn client(
        files: &TlsFiles,
        alpn: &[u8],
        version: &'static SupportedProtocolVersion,
        configure: impl FnOnce(&mut ClientConfig),
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&files.cert).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        configure(&mut config);
        TlsConnector::from(Arc::new(config))
    }

    type Stream = tokio_rustls::client::TlsStream<TcpStream>;

    async fn connect(client: &TlsConnector, address: SocketAddr) -> io::Result<Stream> {
        let stream = TcpStream::connect(address).await.unwrap();
        let handshake = client.connect(ServerName::try_from("localhost").unwrap(), stream);
        timeout(PATIENCE, handshake).await.expect("it answers in time")
    }

    const BODY: usize = 300_000;

    async fn serve(tls: &Tls, limits: Limits) -> SocketAddr {
        let mut table = TableBuilder::default();
        let body = Bytes::from(vec![b'x'; BODY]);
        table.resource("/", Resource::new(&Digest::of(&body), HeaderMap::new(), body));
        let handler = Handler::new(Handle::new(table.build()));
        let server = Server::bind("127.0.0.1:0").await.unwrap().with_tls(tls.clone()).with_limits(limits);
        let address = server.local_addr();
        tokio::spawn(server.run(move |_| handler.clone(), std::future::pending()));
        address
    }

    #[tokio::test]
    async fn sessions_are_resumed_by_ticket_and_from_memory() {
        let folder = tempfile::tempdir().unwrap();
        let files = certificate(folder.path(), "a");
        let address = serve(&Tls::load(files.clone()).unwrap(), Limits::default()).await;
        fn from_memory(config: &mut ClientConfig) {
            let sessions = Resumption::in_memory_sessions(8);
            config.resumption = sessions.tls12_resumption(Tls12Resumption::SessionIdOnly);
        }
        for (version, configure) in [
            (&version::TLS13, (|_| ()) as fn(&mut ClientConfig)),
            (&version::TLS12, |_| ()),
            (&version::TLS12, from_memory),
        ] {
            let client = client(&files, HTTP_1, version, configure);
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let stream = connect(&client, address).await.unwrap();
                let session = stream.get_ref().1;
                assert_eq!(session.handshake_kind(), Some(kind), "{version:?}");
                assert_eq!(session.alpn_protocol(), Some(HTTP_1));
                assert_eq!(Client::over(stream).ask("GET /", "").await.body.len(), BODY);
            }
        }
    }

    #[tokio::test]
    async fn http_2_is_agreed_on() {
        let folder = tempfile::tempdir().unwrap();
        let files = certificate(folder.path(), "a");
        let address = serve(&Tls::load(files.clone()).unwrap(), Limits::default()).await;
        let stream = connect(&client(&files, HTTP_2, &version::TLS13, |_| ()), address).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(HTTP_2));
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let requests = (0..50).map(|_| {
            let request = Request::get("https://localhost/").body(Empty::<Bytes>::new()).unwrap();
            let answer = sender.send_request(request);
            async move {
                let answer = answer.await.unwrap();
                assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
                answer.into_body().collect().await.unwrap().to_bytes().len()
            }
        });
        let lengths = timeout(PATIENCE, futures_util::future::join_all(requests)).await.unwrap();
        assert_eq!(lengths, [BODY; 50]);
    }

    #[tokio::test]
    async fn a_certificate_is_changed_while_it_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let files = certificate(folder.path(), "a");
        let tls = Tls::load(files.clone()).unwrap();
        let address = serve(&tls, Limits::default()).await;
        let old = client(&files, HTTP_1, &version::TLS13, |config| config.resumption = Resumption::disabled());
        let mut open = Client::over(connect(&old, address).await.unwrap());
        assert_eq!(open.ask("GET /", "").await.status(), "200");

        std::fs::write(&files.cert, "half a certif").unwrap();
        assert!(tls.reload().is_err());
        connect(&old, address).await.expect("the old one is shown still");

        certificate(folder.path(), "a");
        tls.reload().unwrap();
        assert_eq!(open.ask("GET /", "").await.status(), "200", "what is open stays");
        connect(&old, address).await.expect_err("another is shown");
        let new = client(&files, HTTP_1, &version::TLS13, |_| ());
        connect(&new, address).await.expect("the new one");
    }

    #[tokio::test]
    async fn who_does_not_shake_hands_is_hung_up_on() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { header_read: Duration::from_millis(100), ..Limits::default() };
        let address = serve(&Tls::load(certificate(folder.path(), "a")).unwrap(), limits).await;
        let mut silent = Client::connect(address).await;
        assert!(silent.is_closed().await);
        let mut slow = Client::connect(address).await;
        slow.send(b"\x16\x03\x01\x02\x00\x01").await;
        assert!(slow.is_closed().await);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (good, other) = (certificate(folder.path(), "a"), certificate(folder.path(), "b"));
        let told = |cert: &Path, key: &Path| {
            Tls::load(TlsFiles { cert: cert.to_owned(), key: key.to_owned() }).unwrap_err().to_string()
        };
        let missing = folder.path().join("missing.pem");
        assert!(told(&missing, &good.key).contains("could not read the certificate"));
        assert!(told(&good.cert, &missing).contains("could not read the key"));
        assert!(told(&good.key, &good.key).contains("there is no certificate in it"));
        assert!(told(&good.cert, &good.cert).contains("there is no key in it"));
        let differ = told(&good.cert, &other.key);
        assert!(differ.contains("is not that of the certificate"), "{differ}");
    }
}
