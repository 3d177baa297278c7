//! A client that speaks each of the protocols that the server does, and asks for exactly what it is told to.

use std::sync::Arc;

use http::{Request, Uri};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::http::Response;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Http1,
    /// HTTP/2 in the clear, by prior knowledge.
    H2c,
    Http1Tls,
    H2,
}

/// What to ask.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    pub method: &'a str,
    /// An absolute path with a query.
    pub target: &'a str,
    pub headers: &'a [(&'a str, String)],
    pub body: &'a [u8],
}

impl Wire {
    pub fn is_tls(self) -> bool {
        matches!(self, Wire::Http1Tls | Wire::H2)
    }

    /// Asks on a connection of its own.
    pub fn ask(self, address: &str, question: &Question) -> Response {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let asking = async {
            match self {
                Wire::Http1 => http1(connect(address).await, address, question).await,
                Wire::H2c => http2(connect(address).await, "http", address, question).await,
                Wire::Http1Tls => http1(tls(address, b"http/1.1").await, address, question).await,
                Wire::H2 => http2(tls(address, b"h2").await, "https", address, question).await,
            }
        };
        let answer = runtime.block_on(async { tokio::time::timeout(std::time::Duration::from_secs(20), asking).await });
        answer.unwrap_or_else(|_| panic!("no answer over {self:?} to {question:?}"))
    }
}

async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{address}: {error}"))
}

async fn tls(address: &str, protocol: &[u8]) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, connect(address).await).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    stream
}

/// Who it is was settled by starting it.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
    }
}

async fn http1(mut stream: impl AsyncRead + AsyncWrite + Unpin, address: &str, question: &Question<'_>) -> Response {
    let Question { method, target, headers, body } = question;
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in *headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("content-length: {}\r\n", body.len());
    }
    let request = [head.as_bytes(), b"\r\n", body].concat();
    // Who is refused before it has said all may be hung up on.
    let _ = stream.write_all(&request).await;
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes).await;
    let (response, rest) =
        Response::parse(&bytes, method).unwrap_or_else(|| panic!("{read:?} of {question:?}: {bytes:?}"));
    assert!(rest.is_empty(), "more than an answer to {question:?}: {:?}", String::from_utf8_lossy(rest));
    response
}

async fn http2<S>(stream: S, scheme: &str, address: &str, question: &Question<'_>) -> Response
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let uri: Uri = format!("{scheme}://{address}{}", question.target).parse().expect("a URI");
    let mut request = Request::builder().method(question.method).uri(uri).version(http::Version::HTTP_2);
    for (name, value) in question.headers {
        request = request.header(*name, value);
    }
    let request = request.body(()).expect("a request");
    std::future::poll_fn(|cx| client.poll_ready(cx)).await.expect("room for a stream");
    let (answer, mut sender) = client.send_request(request, question.body.is_empty()).expect("a stream");
    if !question.body.is_empty() {
        // Who is refused before it has said all may be reset.
        let _ = sender.send_data(bytes::Bytes::copy_from_slice(question.body), true);
    }
    let answer = answer.await.unwrap_or_else(|error| panic!("{error}: {question:?}"));
    let (head, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap_or_else(|error| panic!("{error}: {question:?}"));
        let _ = body.flow_control().release_capacity(chunk.len());
        bytes.extend_from_slice(&chunk);
    }
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let response = Response::new(head.status.as_u16(), headers.collect(), bytes);
    connection.abort();
    response
}
