//! A resource's answer: negotiation, then conditions, then ranges.

use std::ops::Range;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, VARY};
use http::{Method, Response, StatusCode};

use super::asked::Asked;
use super::body::Body;
use super::conditional::{self, Outcome};
use super::handler::{answer, error, set, with, with_body};
use super::negotiate::Accepted;
use super::range::{self, Selected};
use super::resource::{Representation, Resource, Tag};

/// What a resource's answer is.
pub(super) enum Decision<'t> {
    Whole(Representation<'t>),
    NotModified(Representation<'t>),
    Part(Representation<'t>, Range<u64>),
    Parts(Representation<'t>, Vec<Range<u64>>),
    NotAcceptable,
    Failed,
    /// Of so many bytes.
    Unsatisfiable(u64),
}

/// RFC 9110 section 13.2.2, with negotiation before it: conditions are about the representation that would be sent.
pub(super) fn decide<'t>(resource: &'t Resource, method: &Method, asked: &Asked<'_>) -> Decision<'t> {
    let Some(representation) = Accepted::selected(asked, resource) else { return Decision::NotAcceptable };
    let Some(etag) = representation.etag else { return Decision::Whole(representation) };
    let etag = etag.as_bytes();
    match conditional::evaluate(asked, etag) {
        Outcome::NotModified => return Decision::NotModified(representation),
        Outcome::Failed => return Decision::Failed,
        Outcome::Proceed => {}
    }
    // RFC 9110 section 14.2: of the methods here, only GET has ranges.
    let range = match *method {
        // Two of a field that is no list are malformed, and ignored (RFC 9110 section 5.3).
        Method::GET => asked.range.only().filter(|_| conditional::range_applies(asked, etag)),
        _ => None,
    };
    let length = representation.body.length();
    match range.map_or(Selected::Whole, |field| range::select(field, length)) {
        Selected::Whole => Decision::Whole(representation),
        Selected::One(range) => Decision::Part(representation, range),
        // Whether `Content-Encoding` is about the parts or about the multipart is said nowhere, so these are sent whole.
        Selected::Several(_) if representation.encoding.is_some() => Decision::Whole(representation),
        Selected::Several(ranges) => Decision::Parts(representation, ranges),
        Selected::Unsatisfiable => Decision::Unsatisfiable(length),
    }
}

/// The answer to a request for it.
pub(super) fn represent(resource: &Resource, method: &Method, asked: &Asked<'_>) -> Response<Body> {
    let refuse = |status| vary(error(status), resource);
    match decide(resource, method, asked) {
        Decision::Whole(representation) => whole(&representation),
        Decision::NotModified(representation) => {
            answer(StatusCode::NOT_MODIFIED, representation.not_modified(), Bytes::new())
        }
        Decision::Part(representation, range) => part(&representation, range),
        Decision::Parts(representation, ranges) => parts(&representation, &ranges),
        Decision::NotAcceptable => refuse(StatusCode::NOT_ACCEPTABLE),
        Decision::Failed => refuse(StatusCode::PRECONDITION_FAILED),
        Decision::Unsatisfiable(length) => {
            let mut response = refuse(StatusCode::RANGE_NOT_SATISFIABLE);
            set(response.headers_mut(), CONTENT_RANGE, format!("bytes */{length}"));
            response
        }
    }
}

fn whole(representation: &Representation) -> Response<Body> {
    answer(StatusCode::OK, representation.headers(), representation.body.clone())
}

/// RFC 9110 section 15.3.7.1.
fn part(representation: &Representation, range: Range<u64>) -> Response<Body> {
    let mut headers = representation.headers();
    set(&mut headers, CONTENT_RANGE, range::content_range(&range, representation.body.length()));
    answer(StatusCode::PARTIAL_CONTENT, headers, representation.body.slice(range))
}

/// RFC 9110 section 15.3.7.2.
fn parts(representation: &Representation, ranges: &[Range<u64>]) -> Response<Body> {
    // Content that holds its own digest is not to be found, so this stands nowhere in it.
    let tag = representation.etag.as_ref().map_or(&b""[..], Tag::as_bytes);
    let boundary = str::from_utf8(tag).unwrap_or_default().trim_matches('"');
    let mut headers = representation.headers();
    let body = Body::of(range::multipart(representation.body, ranges, headers.get(CONTENT_TYPE), boundary));
    set(&mut headers, CONTENT_TYPE, format!("multipart/byteranges; boundary={boundary}"));
    with_body(StatusCode::PARTIAL_CONTENT, headers, body)
}

fn vary(response: Response<Body>, resource: &Resource) -> Response<Body> {
    match resource.is_negotiated() {
        true => with(response, VARY, HeaderValue::from_static("accept-encoding")),
        false => response,
    }
}
