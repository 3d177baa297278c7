//! What a URL names: a resource with its representations, whose headers are all computed before the first request.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, LAST_MODIFIED, VARY,
};

use super::content::Content;
use crate::encoding::Encoding;
use crate::fingerprint::{Digest, Fingerprint};

/// `CDN-Cache-Control`, RFC 9213 section 3.1.
pub(super) const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// `Surrogate-Control`, <https://www.w3.org/TR/edge-arch/>.
pub(super) const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// What is said to caches before us alone, and of what may be stored.
const OF_CACHES: [HeaderName; 5] = [
    CDN_CACHE_CONTROL,
    SURROGATE_CONTROL,
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("edge-cache-tag"),
];

/// A resource, RFC 9110 section 3.1: the identity representation and those in a content coding.
#[derive(Debug, Clone)]
pub struct Resource {
    fingerprint: Fingerprint,
    identity: Representation,
    /// In the order of preference among equals, see [`Encoding`].
    encoded: Vec<Representation>,
}

/// One representation, RFC 9110 section 3.2: a body with the headers of its 200 and its 304.
#[derive(Debug, Clone)]
pub(super) struct Representation {
    pub(super) encoding: Option<Encoding>,
    /// Strong, and unlike that of any other representation of the resource: RFC 9110 section 8.8.3.3.
    pub(super) etag: Option<HeaderValue>,
    pub(super) headers: HeaderMap,
    pub(super) not_modified: HeaderMap,
    pub(super) body: Content,
}

impl Resource {
    /// A resource of one representation, without a coding. `digest` is that of `body`; `headers` are those that don't follow
    /// from the bytes: `Content-Type`, `Cache-Control` and what the user set. Those that do follow are overwritten.
    pub fn new(digest: &Digest, headers: HeaderMap, body: impl Into<Content>) -> Self {
        let fingerprint = digest.fingerprint();
        let identity = Representation::new(&fingerprint, None, headers, body.into());
        Resource { fingerprint, identity, encoded: Vec::new() }
    }

    /// Adds the same content in a coding, with the headers that this representation has by itself (see [`Resource::new`]).
    pub fn variant(mut self, encoding: Encoding, headers: HeaderMap, body: impl Into<Content>) -> Self {
        self.encoded.retain(|other| other.encoding != Some(encoding));
        self.encoded.push(Representation::new(&self.fingerprint, Some(encoding), headers, body.into()));
        self.encoded.sort_by_key(|representation| representation.encoding);
        self.each(|representation| representation.set(VARY, HeaderValue::from_static("accept-encoding")));
        self
    }

    /// The same content with another `Cache-Control` (RFC 9111 section 5.2), for a URL that is not the content's own.
    pub fn with_cache_control(mut self, value: HeaderValue) -> Self {
        self.each(|representation| representation.set(CACHE_CONTROL, value.clone()));
        self
    }

    /// The same content with other headers of those that don't follow from the bytes (see [`Resource::new`]); it is there once.
    pub fn with_headers(&self, headers: &HeaderMap) -> Self {
        let Representation { body, .. } = &self.identity;
        let identity = Representation::new(&self.fingerprint, None, headers.clone(), body.clone());
        let resource = Resource { fingerprint: self.fingerprint.clone(), identity, encoded: Vec::new() };
        let coded =
            self.encoded.iter().filter_map(|representation| Some((representation.encoding?, &representation.body)));
        coded.fold(resource, |resource, (encoding, body)| resource.variant(encoding, headers.clone(), body.clone()))
    }

    /// The content as the body of an error: nothing may store it, nothing can be asked of it again.
    pub(super) fn into_error(mut self) -> Self {
        self.each(|representation| {
            representation.etag = None;
            for name in [ETAG, ACCEPT_RANGES].iter().chain(&OF_CACHES) {
                representation.headers.remove(name);
            }
            representation.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        });
        self
    }

    pub(super) fn identity(&self) -> &Representation {
        &self.identity
    }

    /// Every representation, the preferred ones first, the identity last.
    pub(super) fn representations(&self) -> impl Iterator<Item = &Representation> {
        self.encoded.iter().chain(std::iter::once(&self.identity))
    }

    /// Whether the answer depends on `Accept-Encoding`; if so, every answer has to say it (RFC 9110 section 12.5.5).
    pub(super) fn is_negotiated(&self) -> bool {
        !self.encoded.is_empty()
    }

    fn each(&mut self, change: impl Fn(&mut Representation)) {
        change(&mut self.identity);
        self.encoded.iter_mut().for_each(change);
    }
}

impl Representation {
    fn new(fingerprint: &Fingerprint, encoding: Option<Encoding>, mut headers: HeaderMap, body: Content) -> Self {
        let etag = match encoding {
            None => format!("\"{}\"", fingerprint.as_str()),
            Some(encoding) => format!("\"{}-{encoding}\"", fingerprint.as_str()),
        };
        // Hex digits and a token are always a header's value.
        let etag = HeaderValue::try_from(etag).ok();
        match &etag {
            Some(etag) => headers.insert(ETAG, etag.clone()),
            None => headers.remove(ETAG),
        };
        match encoding {
            Some(encoding) => headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.token())),
            None => headers.remove(CONTENT_ENCODING),
        };
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.length()));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // A time would be a second validator, which `conditional` doesn't compare.
        headers.remove(LAST_MODIFIED);
        let not_modified = not_modified(&headers);
        Representation { encoding, etag, headers, not_modified, body }
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(&name, value.clone());
        self.not_modified.insert(name, value);
    }
}

/// RFC 9110 section 15.4.5: a 304 repeats what guides a cache, not what describes the content.
fn not_modified(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_LANGUAGE, ACCEPT_RANGES] {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/css"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        headers.insert("x-own", HeaderValue::from_static("1"));
        headers
    }

    fn resource() -> Resource {
        Resource::new(&Digest::of(b"plain"), headers(), Bytes::from_static(b"plain"))
            .variant(Encoding::Gzip, headers(), Bytes::from_static(b"gz"))
            .variant(Encoding::Brotli, headers(), Bytes::from_static(b"br"))
    }

    #[test]
    fn each_representation_has_its_own_validator_coding_and_length() {
        let print = Digest::of(b"plain").fingerprint();
        let seen: Vec<String> = resource()
            .representations()
            .map(|r| {
                let of = |name| r.headers.get(name).map_or("-", |value| value.to_str().unwrap());
                format!("{} {} {} {}", of(ETAG), of(CONTENT_ENCODING), of(CONTENT_LENGTH), of(VARY))
            })
            .collect();
        let print = print.as_str();
        assert_eq!(
            seen,
            [
                format!("\"{print}-br\" br 2 accept-encoding"),
                format!("\"{print}-gzip\" gzip 2 accept-encoding"),
                format!("\"{print}\" - 5 accept-encoding"),
            ]
        );
    }

    #[test]
    fn a_304_guides_caches_and_describes_nothing() {
        let resource = resource();
        let mut names: Vec<&str> = resource.identity().not_modified.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "etag", "vary", "x-own"]);
    }

    #[test]
    fn one_representation_does_not_vary() {
        let resource = Resource::new(&Digest::of(b""), headers(), Bytes::new());
        assert!(!resource.is_negotiated());
        assert!(!resource.identity().headers.contains_key(VARY));
    }

    #[test]
    fn headers_that_follow_from_the_bytes_can_not_be_given() {
        let mut wrong = headers();
        for name in [ETAG, CONTENT_ENCODING, CONTENT_LENGTH, LAST_MODIFIED] {
            wrong.insert(name, HeaderValue::from_static("7"));
        }
        let resource = Resource::new(&Digest::of(b"x"), wrong, Bytes::from_static(b"x"));
        let headers = &resource.identity().headers;
        assert_eq!(headers[CONTENT_LENGTH], "1");
        assert_ne!(headers[ETAG], "7");
        assert!(!headers.contains_key(CONTENT_ENCODING) && !headers.contains_key(LAST_MODIFIED));
    }

    #[test]
    fn other_headers_leave_the_content_as_it_is() {
        let before = resource();
        let mut other = headers();
        other.insert("x-own", HeaderValue::from_static("2"));
        let after = before.with_headers(&other);
        for (before, after) in before.representations().zip(after.representations()) {
            assert_eq!((&before.etag, before.encoding), (&after.etag, after.encoding));
            assert_eq!(after.headers["x-own"], "2");
            assert_eq!(after.headers[VARY], "accept-encoding");
        }
        assert_eq!(after.representations().count(), 3);
    }

    #[test]
    fn another_cache_control_is_in_the_304_too() {
        let resource = resource().with_cache_control(HeaderValue::from_static("no-cache"));
        for representation in resource.representations() {
            assert_eq!(representation.headers[CACHE_CONTROL], "no-cache");
            assert_eq!(representation.not_modified[CACHE_CONTROL], "no-cache");
        }
    }
}
