//! The least that hyper can do: answers for one folder's files, made ready in memory, and nothing else. No limits, no timeouts, no
//! other environment, no other client than one that asks as the bench does. What a server takes above this is its own.
//!
//! `bare PORT DIR h1|h2`: each file below DIR is answered at its path, whole, as a range of two numbers, with `If-None-Match`, and from the
//! `.br` beside it to who accepts `br` at all.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, RANGE, VARY,
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

// What the program itself uses, so that the comparison is of what it does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Ready {
    /// The fields that the program itself would send, so that both write the same answer.
    fields: HeaderMap,
    etag: HeaderValue,
    bytes: Bytes,
    brotli: Option<Bytes>,
}

type Files = HashMap<String, Ready>;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(port), Some(folder), Some(protocol)) = (arguments.next(), arguments.next(), arguments.next()) else {
        panic!("usage: bare PORT DIR h1|h2")
    };
    let is_http2 = protocol == "h2";
    let port: u16 = port.parse().expect("a port");
    let mut files = Files::new();
    collect(Path::new(&folder), "", &mut files);
    let files = Arc::new(files);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port");
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let files = Arc::clone(&files);
            tokio::spawn(async move {
                let service =
                    service_fn(move |request| std::future::ready(Ok::<_, Infallible>(answer(&files, &request))));
                let stream = TokioIo::new(stream);
                let _ = match is_http2 {
                    true => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await,
                    false => http1::Builder::new().serve_connection(stream, service).await,
                };
            });
        }
    });
}

fn answer(files: &Files, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let Some(file) = files.get(request.uri().path()) else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let asked = request.headers();
    let mut bytes = file.bytes.clone();
    let headers = response.headers_mut();
    *headers = file.fields.clone();
    if asked.get(IF_NONE_MATCH) == Some(&file.etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let accepts = |value: &HeaderValue| value.as_bytes().windows(2).any(|pair| pair == b"br");
    if let Some(brotli) = file.brotli.as_ref().filter(|_| asked.get(ACCEPT_ENCODING).is_some_and(accepts)) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        bytes = brotli.clone();
    }
    if let Some((first, last)) = asked.get(RANGE).and_then(|range| range.to_str().ok()).and_then(range) {
        let told = format!("bytes {first}-{last}/{}", bytes.len());
        headers.insert(CONTENT_RANGE, HeaderValue::try_from(told).expect("it is plain"));
        bytes = bytes.slice(first..=last);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    *response.body_mut() = Full::new(bytes);
    response
}

fn range(value: &str) -> Option<(usize, usize)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn collect(folder: &Path, below: &str, files: &mut Files) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = format!("{below}/{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            collect(&path, &name, files);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        let brotli = std::fs::read(format!("{}.br", path.display())).ok();
        let etag = format!(
            "\"{:x}-{:x}\"",
            bytes.len(),
            bytes.iter().fold(0u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte))
        );
        let media_type = mime_guess::from_path(&path).first_raw().unwrap_or("application/octet-stream");
        let etag = HeaderValue::try_from(etag).expect("it is plain");
        let mut fields = HeaderMap::new();
        fields.insert(ETAG, etag.clone());
        for (name, value) in [
            ("accept-ranges", "bytes"),
            ("content-type", media_type),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-site"),
            ("cache-control", "public, max-age=31536000, immutable"),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
        if brotli.is_some() {
            fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        files.insert(name.clone(), Ready { fields, etag, bytes: bytes.into(), brotli: brotli.map(Bytes::from) });
    }
}
