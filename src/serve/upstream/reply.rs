//! What becomes of an application's answer: its page is bound to the environment, its text is compressed, all else passes.

use std::sync::Arc;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, LAST_MODIFIED, VARY,
};
use http::{Method, Response, StatusCode, Version};
use hyper::body::Body as _;

use super::conversion::{Conversion, Converted, Pack, Unpack};
use super::fields;
use super::transfer::Download;
use super::validators;
use crate::asset::is_compressible;
use crate::config::Upstream;
use crate::encoding::Encoding;
use crate::page::Binder;
use crate::serve::body::Body;
use crate::serve::client::values;
use crate::serve::negotiate::Accepted;

/// What an answer is compressed with where the client likes several equally: the quickest first.
const CODINGS: [Encoding; 3] = [Encoding::Zstd, Encoding::Brotli, Encoding::Gzip];

/// Bytes of a body below which a coding makes it longer.
const SMALLEST: u64 = 256;

/// What is about a body as the application has sent it, its coding and its date left out.
static OF_BODY: [HeaderName; 6] = [
    CONTENT_LENGTH,
    ACCEPT_RANGES,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// What of a request its answer depends on.
pub struct Exchange<'r> {
    pub method: &'r Method,
    /// As the client knows it.
    pub host: Option<&'r str>,
    pub path: &'r str,
    /// As the application got them.
    pub headers: &'r HeaderMap,
    pub accepted: Accepted,
    /// Whether it named a page by the tag that was given to it here.
    pub is_marked: bool,
}

/// Makes of the application's answer what is sent to the client.
pub fn of(
    response: Response<Download>,
    exchange: &Exchange<'_>,
    binder: Option<&Arc<Binder>>,
    settings: &Upstream,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let headers = &mut parts.headers;
    let exact = body.size_hint().exact();
    // Events may be far between.
    let download = if is_of_type(headers, "text/event-stream") { body } else { body.patient(settings.timeout) };
    if parts.status == StatusCode::NOT_MODIFIED {
        if let Some(binder) = binder.filter(|_| exchange.is_marked) {
            validators::derive(headers, binder.mark());
        }
        if settings.compress {
            agree(headers, exchange);
        }
        return Response::from_parts(parts, Body::stream(download));
    }
    let mut conversion = Conversion::default();
    if let Some(binder) = binder.filter(|_| may_change(headers)) {
        edit(headers, exchange, binder, &mut conversion);
    }
    let length = exact.filter(|_| conversion.is_nothing());
    if settings.compress && is_worth_packing(parts.status, headers, length) {
        pack(headers, exchange.accepted, &mut conversion);
    }
    if conversion.is_nothing() || exchange.method == Method::HEAD {
        return Response::from_parts(parts, Body::stream(download));
    }
    Response::from_parts(parts, Body::stream(Converted::new(download, conversion)))
}

/// Prepares a page for being bound, if it is one.
fn edit(headers: &mut HeaderMap, exchange: &Exchange<'_>, binder: &Arc<Binder>, conversion: &mut Conversion) {
    let Some(charset) = page_charset(headers) else { return };
    let coding = match coding(headers) {
        Ok(coding) => coding.map(Unpack::new),
        // One that is not known can't be undone.
        Err(()) => return,
    };
    let Some(page) = binder.stream(exchange.host, exchange.path, charset.as_deref()) else { return };
    match coding.transpose() {
        Ok(unpack) => conversion.unpack = unpack,
        Err(_) => return,
    }
    conversion.edit = Some(page);
    fields::remove(headers, &OF_BODY);
    fields::remove(headers, &[CONTENT_ENCODING, LAST_MODIFIED]);
    validators::derive(headers, binder.mark());
    binder.fields(exchange.path, headers);
}

/// Lets a 304 say what the 200 would that is compressed here (RFC 9110 section 15.4.5). It hardly ever says what type it is of: then
/// the client tells by its tag whether it was.
fn agree(headers: &mut HeaderMap, exchange: &Exchange<'_>) {
    let is_text = is_text(headers);
    if is_text == Some(false) || coding(headers) != Ok(None) || !may_change(headers) {
        return;
    }
    vary(headers);
    let is_weak = || headers.get(ETAG).is_some_and(|tag| validators::is_named_weakly(exchange.headers, tag));
    if exchange.accepted.best_of(&CODINGS).is_some() && (is_text.is_some() || is_weak()) {
        weaken(headers);
    }
}

fn vary(headers: &mut HeaderMap) {
    let varies = values(headers, &VARY).any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding"));
    if !varies {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

fn pack(headers: &mut HeaderMap, accepted: Accepted, conversion: &mut Conversion) {
    vary(headers);
    let Some(encoding) = accepted.best_of(&CODINGS) else { return };
    let Ok(packing) = Pack::new(encoding) else { return };
    conversion.pack = Some(packing);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.token()));
    fields::remove(headers, &OF_BODY);
    // RFC 9110 section 8.8.3.3: what is in another coding has another strong tag.
    weaken(headers);
}

fn weaken(headers: &mut HeaderMap) {
    let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::try_from(format!("W/{tag}")).ok()) {
        headers.insert(ETAG, tag);
    }
}

/// RFC 9110 section 7.7.
fn may_change(headers: &HeaderMap) -> bool {
    !values(headers, &CACHE_CONTROL).any(|word| word.eq_ignore_ascii_case("no-transform"))
}

fn is_worth_packing(status: StatusCode, headers: &HeaderMap, length: Option<u64>) -> bool {
    let has_body = !status.is_informational() && status != StatusCode::NO_CONTENT;
    has_body
        && is_text(headers) == Some(true)
        && status != StatusCode::PARTIAL_CONTENT
        && length.is_none_or(|length| length >= SMALLEST)
        && coding(headers) == Ok(None)
        && may_change(headers)
}

/// None if it is not said.
fn is_text(headers: &HeaderMap) -> Option<bool> {
    Some(headers.get(CONTENT_TYPE)?.to_str().is_ok_and(is_compressible))
}

pub fn is_page(headers: &HeaderMap) -> bool {
    is_of_type(headers, "text/html")
}

fn is_of_type(headers: &HeaderMap, kind: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
}

/// Of a page, the `charset` that its media type names; none if it is no page.
fn page_charset(headers: &HeaderMap) -> Option<Option<String>> {
    if !is_page(headers) {
        return None;
    }
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let charset = value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    });
    Some(charset)
}

/// The coding that an answer is in, if it is one that can be undone.
fn coding(headers: &HeaderMap) -> Result<Option<Encoding>, ()> {
    let mut lines = headers.get_all(CONTENT_ENCODING).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return if headers.contains_key(CONTENT_ENCODING) { Err(()) } else { Ok(None) };
    };
    match line.to_str().map(str::trim).map(str::to_ascii_lowercase).as_deref() {
        Ok("" | "identity") => Ok(None),
        Ok("x-gzip") => Ok(Some(Encoding::Gzip)),
        Ok(token) => Encoding::of_token(token).map(Some).ok_or(()),
        Err(_) => Err(()),
    }
}

/// Of the codings that a client takes, those that can be undone here.
pub fn restrict_codings(headers: &mut HeaderMap, accepted: Accepted) {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return;
    }
    let known: Vec<&str> = CODINGS
        .iter()
        .filter(|encoding| accepted.best_of(std::slice::from_ref(encoding)).is_some())
        .map(|encoding| encoding.token())
        .collect();
    let value = if known.is_empty() { "identity".to_owned() } else { known.join(", ") };
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(ACCEPT_ENCODING, value);
    }
}
