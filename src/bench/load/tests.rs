//! Servers whose latencies are known.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::server::Tls;
use super::*;

/// Answers each request after what `pause` says for the time since the start.
async fn server(pause: fn(Duration) -> Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = listener.into_std().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let begun = Instant::now();
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        let pause = pause(begun.elapsed());
                        if !pause.is_zero() {
                            tokio::time::sleep(pause).await;
                        }
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                    }
                });
            }
        });
    });
    address
}

fn plan(address: SocketAddr, connections: usize, lasting: Duration) -> Plan {
    plan_for(Server::plain(address), connections, lasting)
}

fn plan_for(server: Server, connections: usize, lasting: Duration) -> Plan {
    let asks = vec![Ask::get(Arc::new(server), "x", "/")];
    Plan { asks, connections, lasting, meter: Meter::default(), spins: true }
}

/// Milliseconds within which that share of requests was answered.
fn percentile(paced: &Paced, share: f64) -> f64 {
    let total: u64 = paced.latencies.iter().map(|(_, count)| count).sum();
    let mut seen = 0;
    for (value, count) in &paced.latencies {
        seen += count;
        if seen as f64 >= share * total as f64 {
            return *value as f64 / 1000.0;
        }
    }
    f64::NAN
}

#[tokio::test]
async fn a_delay_that_is_known_is_found() {
    let address = server(|_| Duration::from_millis(20)).await;
    let paced = plan(address, 16, Duration::from_millis(1000)).pace(200.0).await.unwrap();
    assert_eq!((paced.load.requests, paced.load.errors, paced.unsent), (200, 0, 0));
    let median = percentile(&paced, 0.5);
    assert!((20.0..60.0).contains(&median), "{median}");
}

/// For a fifth of each second nothing is answered. Who is due then waits for what is left of it: of all requests, one in ten waits for
/// 100 ms or more. A generator that waited for its answers would send one request in that time, and count it alone.
#[tokio::test]
async fn a_server_that_stalls_does_not_hide_it() {
    let stall = |since: Duration| {
        let within = since.as_millis() as u64 % 1000;
        Duration::from_millis(if within >= 800 { 1000 - within } else { 0 })
    };
    let address = server(stall).await;
    let paced = plan(address, 8, Duration::from_secs(2)).pace(500.0).await.unwrap();
    assert_eq!((paced.load.requests, paced.load.errors, paced.unsent), (1000, 0, 0));
    // One in five waits at all, evenly between none and 200 ms.
    let (p50, p90, p99) = (percentile(&paced, 0.5), percentile(&paced, 0.9), percentile(&paced, 0.99));
    assert!(p50 < 30.0, "half of all wait for nothing: {p50}");
    assert!((80.0..140.0).contains(&p90), "{p90}");
    assert!((170.0..260.0).contains(&p99), "{p99}");

    // The closed loop's view of the same server: what it asked in the stall is next to nothing of all.
    let load = plan(address, 8, Duration::from_secs(1)).saturate().await.unwrap();
    assert!(load.requests > 500, "{}", load.requests);
    assert_eq!(load.errors, 0);
}

#[tokio::test]
async fn what_can_not_be_sent_is_told() {
    let address = server(|_| Duration::from_millis(400)).await;
    let paced = plan(address, 1, Duration::from_millis(500)).pace(100.0).await.unwrap();
    assert!(paced.load.requests < 10, "{}", paced.load.requests);
    assert_eq!(paced.load.requests + paced.unsent, 50);
}

/// Speaks TLS with a certificate for `localhost`, and notes the name, the protocol and the first request of each connection. Gives who trusts it.
async fn tls_server(noted: Arc<Mutex<Vec<(String, String, String)>>>) -> Server {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, noted) = (acceptor.clone(), noted.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let session = stream.get_ref().1;
                let name = session.server_name().unwrap_or_default().to_owned();
                let protocol = String::from_utf8_lossy(session.alpn_protocol().unwrap_or_default()).into_owned();
                let mut buffer = [0; 1024];
                let mut is_first = true;
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    if std::mem::take(&mut is_first) {
                        let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
                        noted.lock().unwrap().push((name.clone(), protocol.clone(), request));
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Server::over_tls(address, ServerName::try_from("localhost").unwrap(), config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn load_goes_over_tls_by_name_and_shakes_hands_once_for_each_connection() {
    let noted = Arc::default();
    let server = tls_server(Arc::clone(&noted)).await;
    let load = plan_for(server.clone(), 4, Duration::from_millis(300)).saturate().await.unwrap();
    assert!(load.requests > 40 && load.errors == 0, "{load:?}");
    let noted = std::mem::take(&mut *noted.lock().unwrap());
    assert_eq!(noted.len(), 4, "{noted:?}");
    for (name, protocol, request) in noted {
        assert_eq!((name.as_str(), protocol.as_str()), ("localhost", "http/1.1"));
        assert!(request.starts_with("GET / HTTP/1.1\r\nhost: x\r\n"), "{request}");
    }
    let paced = plan_for(server.clone(), 4, Duration::from_millis(300)).pace(200.0).await.unwrap();
    assert_eq!((paced.load.requests, paced.load.errors), (60, 0));
    let key = Connection::to(&server).await.unwrap().key();
    assert_eq!(key.map(|key| key.len()), Some(44), "32 bytes in base64");
    let other = ServerName::try_from("other.example").unwrap();
    let mistaken = Server { tls: server.tls.clone().map(|tls| Tls { name: other, ..tls }), ..server };
    let load = plan_for(mistaken, 2, Duration::from_millis(100)).saturate().await.unwrap();
    assert!(load.errors == load.requests && load.errors > 0, "its certificate is for another: {load:?}");
}

#[test]
fn who_refuses_for_now_has_not_answered() {
    let mut tally = Tally::default();
    for status in [200, 429, 404, 503] {
        tally.count(Ok(Answer { status, bytes: 1, keeps: true }));
    }
    assert_eq!((tally.requests, tally.errors, tally.bytes), (4, 2, 4));
}

#[tokio::test]
async fn nobody_there_is_an_error_each_time() {
    let address = crate::bench::process::free_address().unwrap();
    let paced = plan(address, 2, Duration::from_millis(100)).pace(100.0).await.unwrap();
    assert_eq!((paced.load.requests, paced.load.errors), (10, 10));
}
