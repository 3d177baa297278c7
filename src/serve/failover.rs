//! Whether another origin has this release's assets: it is asked for some of them now and then, and while it fails, pages are bound
//! to this server's own origin.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::encoding::Encoding;
use crate::environment::{AssetBase, Failover};
use crate::fingerprint::Digest;
use crate::manifest::{Kind, Manifest};

/// So many files of a release are asked for in turn.
const MOST: usize = 8;

/// Larger files than this are asked for only where there are no others.
const LARGEST: u64 = 256 << 10;

/// A file that an origin has if it has the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// Its path below the output folder.
    pub(super) file: String,
    pub(super) length: u64,
    pub(super) digest: Digest,
}

impl Probe {
    /// Fingerprinted files from all over the release, small ones if there are any.
    pub(super) fn choose(manifest: &Manifest) -> Vec<Probe> {
        let assets = || manifest.files.iter().filter(|(_, file)| file.kind == Kind::Asset);
        let small: Vec<_> = assets().filter(|(_, file)| file.length <= LARGEST).collect();
        let chosen = match small.is_empty() {
            true => assets().min_by_key(|(_, file)| file.length).into_iter().collect(),
            false => small,
        };
        let step = chosen.len().div_ceil(MOST).max(1);
        let probe = |(path, file): &(&String, &crate::manifest::File)| Probe {
            file: (*path).clone(),
            length: file.length,
            digest: file.digest,
        };
        chosen.iter().step_by(step).map(probe).collect()
    }
}

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    #[error("`{0}` is no URL that can be asked for")]
    Url(String),
    #[error("`{url}` could not be reached: {source}")]
    Unreachable { url: String, source: std::io::Error },
    #[error("`{url}` gave no answer: {source}")]
    Broken { url: String, source: hyper::Error },
    #[error("`{url}` was answered {status}")]
    Status { url: String, status: StatusCode },
    #[error("`{0}` has other bytes than the release")]
    Bytes(String),
    #[error("`{url}` came in the coding `{coding}`, which is not undone here")]
    Coding { url: String, coding: String },
    #[error("`{0}` was not answered in time")]
    Late(String),
}

/// What changed, after so many probes in a row.
#[derive(Debug)]
pub enum Change {
    /// The origin fails: pages are bound to this server's own.
    Failed { base: AssetBase, failures: u32, error: ProbeError },
    /// It is back, and so are the pages.
    Recovered { base: AssetBase, successes: u32, after: Duration },
}

/// What is believed of an origin. It takes several results of one kind in a row to change that, so that it does not change with each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Health {
    is_failing: bool,
    /// Results in a row that speak against it.
    against: u32,
}

impl Health {
    /// Whether the belief has changed; if so, `against` is how many results it took.
    fn observe(&mut self, is_good: bool, settings: &Failover) -> Option<u32> {
        if is_good != self.is_failing {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let enough = if self.is_failing { settings.recover_after } else { settings.fail_after };
        if self.against < enough {
            return None;
        }
        self.is_failing = !self.is_failing;
        Some(std::mem::take(&mut self.against))
    }
}

/// Asks for ever. `probes` gives the files of the release that is served now; `changed` is told when pages have to be bound anew.
pub(super) async fn watch(
    base: &AssetBase,
    settings: &Failover,
    probes: impl Fn() -> Arc<[Probe]>,
    mut changed: impl FnMut(Change),
) {
    let client = Client::new();
    let (mut health, mut since, mut turn) = (Health::default(), Instant::now(), 0usize);
    // Servers that were started together don't ask together, not even the first time.
    let mut pause = settings.interval.mul_f64(jitter() / 2.0);
    loop {
        tokio::time::sleep(pause).await;
        pause = settings.interval.mul_f64(0.75 + jitter() / 2.0);
        let probes = probes();
        turn = turn.wrapping_add(1);
        let Some(probe) = probes.get(turn % probes.len().max(1)) else { continue };
        let result = match tokio::time::timeout(settings.timeout, client.ask(base, probe)).await {
            Ok(result) => result,
            Err(_) => Err(ProbeError::Late(base.url(&probe.file))),
        };
        let Some(count) = health.observe(result.is_ok(), settings) else { continue };
        let base = base.clone();
        match result {
            Err(error) => {
                since = Instant::now();
                changed(Change::Failed { base, failures: count, error });
            }
            Ok(()) => changed(Change::Recovered { base, successes: count, after: since.elapsed() }),
        }
    }
}

/// From 0 to 1: the standard library seeds its hashers from the system.
pub(crate) fn jitter() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

struct Client {
    tls: Option<TlsConnector>,
}

impl Client {
    fn new() -> Self {
        let mut roots = RootCertStore::empty();
        let (found, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions();
        if found == 0 {
            tracing::warn!("this machine trusts no certificate: an origin with TLS can't be probed");
        }
        let tls = config.ok().map(|config| config.with_root_certificates(roots).with_no_client_auth());
        Client { tls: tls.map(|config| TlsConnector::from(Arc::new(config))) }
    }

    /// Asks for the file as a browser would, and compares what comes.
    async fn ask(&self, base: &AssetBase, probe: &Probe) -> Result<(), ProbeError> {
        let url = base.url(&probe.file);
        let url = if url.starts_with("//") { format!("https:{url}") } else { url };
        let no_url = || ProbeError::Url(url.clone());
        let uri: Uri = url.parse().map_err(|_| no_url())?;
        let host = uri.host().ok_or_else(no_url)?.trim_matches(['[', ']']);
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let unreachable = |source| ProbeError::Unreachable { url: url.clone(), source };
        let stream = TcpStream::connect((host, port)).await.map_err(unreachable)?;
        if !is_tls {
            return fetch(TokioIo::new(stream), &url, &uri, probe).await;
        }
        let name = rustls_pki_types::ServerName::try_from(host.to_owned()).map_err(|_| no_url())?;
        let tls = self.tls.as_ref().ok_or_else(no_url)?;
        let stream = tls.connect(name, stream).await.map_err(unreachable)?;
        fetch(TokioIo::new(stream), &url, &uri, probe).await
    }
}

async fn fetch<S>(stream: S, url: &str, uri: &Uri, probe: &Probe) -> Result<(), ProbeError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let broken = |source| ProbeError::Broken { url: url.to_owned(), source };
    let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
    // Ends with this function.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let other = || ProbeError::Bytes(url.to_owned());
    let undone = |coding: &str| ProbeError::Coding { url: url.to_owned(), coding: coding.to_owned() };
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    // No `CDN-Loop` (RFC 8586): an origin that pulls from this server passes it on, and would be taken for a loop.
    let request = Request::get(uri.path())
        .header(HOST, authority)
        .header(USER_AGENT, concat!("fingerpost/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT_ENCODING, "identity")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|_| ProbeError::Url(url.to_owned()))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    if response.status() != StatusCode::OK {
        return Err(ProbeError::Status { url: url.to_owned(), status: response.status() });
    }
    // A store that has a file in one coding (`encoding` of an environment) gives it to whoever asks, whatever he accepts.
    let coding =
        response.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii().to_ascii_lowercase());
    let coding = coding.map(|token| String::from_utf8_lossy(&token).into_owned());
    let encoding = match coding.as_deref() {
        None | Some("" | "identity") => None,
        Some(token) => Some(Encoding::of_token(token).ok_or_else(|| undone(token))?),
    };
    // What can't be made shorter comes out a little longer.
    let most = probe.length + encoding.map_or(0, |_| probe.length / 1000 + 1000);
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() as u64 > most {
            return Err(other());
        }
    }
    let bytes = match encoding {
        None => Some(bytes),
        Some(encoding) => {
            usize::try_from(probe.length).ok().and_then(|length| encoding.decompress(&bytes, length).ok())
        }
    };
    if bytes.is_some_and(|bytes| Digest::of(&bytes) == probe.digest) { Ok(()) } else { Err(other()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::fixture::Site;
    use crate::serve::{Handle, Handler, Resource, Server, Table, TableBuilder};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc;

    fn settings(timeout: u64) -> Failover {
        Failover {
            interval: Duration::from_millis(20),
            timeout: Duration::from_millis(timeout),
            fail_after: 3,
            recover_after: 2,
        }
    }

    #[test]
    fn a_belief_changes_after_several_results_in_a_row() {
        let settings = settings(0);
        let mut health = Health::default();
        let told: Vec<Option<u32>> = "--+---+--+-++-++".chars().map(|c| health.observe(c == '+', &settings)).collect();
        let at: Vec<usize> = told.iter().enumerate().filter(|(_, told)| told.is_some()).map(|(at, _)| at).collect();
        // The third failure in a row, then the second success in a row.
        assert_eq!(at, [5, 12]);
        assert_eq!((told[5], told[12]), (Some(3), Some(2)));
    }

    #[test]
    fn small_assets_from_all_over_the_release_are_asked_for() {
        let mut site = Site::new().page("index.html", "x").public("robots.txt", "x");
        assert_eq!(Probe::choose(&site.manifest), []);
        for index in 0..20 {
            site = site.asset(&format!("css/{index}.css"), &format!("a{{margin:{index}px}}"));
        }
        let probes = Probe::choose(&site.manifest);
        assert!((4..=MOST).contains(&probes.len()), "{probes:?}");
        let large = Site::new().asset("a.bin", &"x".repeat(300 << 10));
        assert_eq!(Probe::choose(&large.manifest).len(), 1);
    }

    fn probe() -> Probe {
        Probe { file: "assets/a.css".to_owned(), length: 5, digest: Digest::of(b"right") }
    }

    fn table(body: &'static str) -> Table {
        let mut table = TableBuilder::default();
        let headers = http::HeaderMap::new();
        let body = bytes::Bytes::from_static(body.as_bytes());
        table.resource("/assets/a.css", Resource::new(&Digest::of(&body), headers, body));
        table.build()
    }

    /// `+` for a recovery, or why the origin is taken to fail.
    async fn next(changes: &mut mpsc::UnboundedReceiver<Change>) -> String {
        let change = tokio::time::timeout(Duration::from_secs(20), changes.recv()).await.expect("in time").unwrap();
        match change {
            Change::Recovered { successes: 2, .. } => "+".to_owned(),
            Change::Failed { failures: 3, error, .. } => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// How an origin fares that answers with these bytes in this coding.
    async fn asked(probe: &Probe, coding: &str, body: &[u8]) -> Result<(), String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base: AssetBase = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let coding = if coding.is_empty() { String::new() } else { format!("content-encoding: {coding}\r\n") };
        let head = format!("HTTP/1.1 200 OK\r\n{coding}content-length: {}\r\n\r\n", body.len());
        let answer = [head.as_bytes(), body].concat();
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0, "it asks");
            }
            // Who has seen enough goes.
            let _ = stream.write_all(&answer).await;
            let _ = stream.read_buf(&mut request).await;
        });
        let result = tokio::time::timeout(Duration::from_secs(20), Client::new().ask(&base, probe)).await;
        answering.await.unwrap();
        result.expect("in time").map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_asset_is_the_same_in_whatever_coding_it_comes() {
        let plain = "a { color: red }\n".repeat(500);
        let probe = |text: &str| Probe {
            file: "assets/a.css".to_owned(),
            length: text.len() as u64,
            digest: Digest::of(text.as_bytes()),
        };
        let asset = probe(&plain);
        for coding in ["", "identity"] {
            assert_eq!(asked(&asset, coding, plain.as_bytes()).await, Ok(()), "{coding}");
        }
        for encoding in Encoding::ALL {
            let packed = encoding.compress(plain.as_bytes()).unwrap();
            for coding in [encoding.token().to_owned(), encoding.token().to_uppercase()] {
                assert_eq!(asked(&asset, &coding, &packed).await, Ok(()), "{coding}");
            }
            // A byte is longer packed than it was.
            let short = probe("x");
            let packed_short = encoding.compress(b"x").unwrap();
            assert_eq!(asked(&short, encoding.token(), &packed_short).await, Ok(()), "{encoding}");
            let longer = encoding.compress(format!("{plain}x").as_bytes()).unwrap();
            let other = encoding.compress(plain.replace("red", "tan").as_bytes()).unwrap();
            let huge = encoding.compress(&vec![b'x'; 1 << 20]).unwrap();
            for body in [&longer[..], &other[..], &huge[..], &packed[..packed.len() / 2], plain.as_bytes()] {
                let error = asked(&asset, encoding.token(), body).await.unwrap_err();
                assert!(error.contains("has other bytes"), "{encoding}: {error}");
            }
        }
        let packed = Encoding::Gzip.compress(plain.as_bytes()).unwrap();
        assert!(asked(&asset, "", &packed).await.unwrap_err().contains("has other bytes"));
        let error = asked(&asset, "compress", &packed).await.unwrap_err();
        assert!(error.contains("`compress`, which is not undone here"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_origin_that_fails_in_any_way_is_noticed_and_so_is_its_return() {
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr();
        let base: AssetBase = format!("http://{address}/").parse().unwrap();
        let handle = Handle::new(table("right"));
        let handler = Handler::new(handle.clone());
        let running = tokio::spawn(server.run(move |_| handler.clone(), std::future::pending()));
        let (sender, mut changes) = mpsc::unbounded_channel();
        let watched = base.clone();
        let watching = tokio::spawn(async move {
            let (settings, probes) = (settings(300), Arc::from([probe()]));
            watch(&watched, &settings, || Arc::clone(&probes), |change| sender.send(change).unwrap()).await;
        });
        for (body, want) in [("wrong", "has other bytes"), ("right but longer", "has other bytes")] {
            handle.swap(table(body));
            let reason = next(&mut changes).await;
            assert!(reason.contains(want), "{reason}");
            handle.swap(table("right"));
            assert_eq!(next(&mut changes).await, "+");
        }
        handle.swap(TableBuilder::default().build());
        assert!(next(&mut changes).await.contains("404"));
        handle.swap(table("right"));
        assert_eq!(next(&mut changes).await, "+");

        running.abort();
        let _ = running.await;
        let reason = next(&mut changes).await;
        assert!(reason.contains("could not be reached"), "{reason}");

        // One that takes connections and says nothing.
        let silent = tokio::net::TcpListener::bind(address).await.unwrap();
        let stalling = tokio::spawn(async move {
            let mut streams = Vec::new();
            while let Ok((mut stream, _)) = silent.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                streams.push(stream);
            }
        });
        let client = Client::new();
        let late = tokio::time::timeout(Duration::from_millis(300), client.ask(&base, &probe())).await;
        assert!(late.is_err(), "it would wait for ever");
        stalling.abort();
        watching.abort();
    }
}
