//! What a URL names: a resource with its representations.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::content::Content;
use super::fields::{Fields, Form, Lines};
use crate::encoding::Encoding;
use crate::fingerprint::Digest;

/// `CDN-Cache-Control`, RFC 9213 section 3.1.
pub(super) const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// `Surrogate-Control`, <https://www.w3.org/TR/edge-arch/>.
pub(super) const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// What is said to caches before us alone, and of what may be stored.
pub(super) const OF_CACHES: [HeaderName; 5] = [
    CDN_CACHE_CONTROL,
    SURROGATE_CONTROL,
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("edge-cache-tag"),
];

/// A resource, RFC 9110 section 3.1: the identity representation and those in a content coding. Clones share all of it.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Whether it can be told from another; an error's body can't.
    has_validators: bool,
    fields: Arc<Fields>,
    bodies: Arc<Bodies>,
    /// Of a fingerprinted file at its own URL: how many releases ago it was part of one. Others have nothing to last for.
    age: Option<u8>,
}

/// The bodies of a resource's representations.
#[derive(Debug, Clone)]
pub struct Bodies {
    identity: Part,
    /// In the order of preference among equals, see [`Encoding`].
    encoded: Box<[(Encoding, Part)]>,
}

/// The body of one representation.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) content: Content,
    /// The first half of its digest: enough to know it again.
    pub(super) seal: u128,
    /// A hash of the identity of the file that it was read from, 0 if nothing follows from that.
    pub(super) source: u64,
}

/// One representation, RFC 9110 section 3.2: a body with the headers of its 200 and its 304.
#[derive(Debug)]
pub(super) struct Representation<'a> {
    pub(super) encoding: Option<Encoding>,
    /// Strong, and unlike that of any other representation of the resource: RFC 9110 section 8.8.3.3.
    pub(super) etag: Option<Tag>,
    pub(super) body: &'a Content,
    fields: &'a Fields,
    is_negotiated: bool,
}

impl Part {
    pub(super) fn new(digest: &Digest, content: Content, source: u64) -> Self {
        Part { content, seal: digest.seal(), source }
    }

    /// The first bytes of its digest.
    fn print(&self) -> u64 {
        (self.seal >> 64) as u64
    }
}

impl Bodies {
    pub(super) fn new(identity: Part, mut encoded: Vec<(Encoding, Part)>) -> Self {
        encoded.sort_by_key(|(encoding, _)| *encoding);
        encoded.dedup_by_key(|(encoding, _)| *encoding);
        Bodies { identity, encoded: encoded.into() }
    }

    pub(super) fn part(&self, encoding: Option<Encoding>) -> Option<&Part> {
        match encoding {
            None => Some(&self.identity),
            Some(encoding) => self.encoded.iter().find(|(other, _)| *other == encoding).map(|(_, part)| part),
        }
    }

    /// The codings first.
    pub(super) fn parts(&self) -> impl Iterator<Item = (Option<Encoding>, &Part)> {
        let encoded = self.encoded.iter().map(|(encoding, part)| (Some(*encoding), part));
        encoded.chain(std::iter::once((None, &self.identity)))
    }

    /// The same bodies, each content changed; those that nothing is made of are left out, and with the identity all.
    pub(super) fn map(&self, mut change: impl FnMut(&Content) -> Option<Content>) -> Option<Self> {
        let mut part = |part: &Part| Some(Part { content: change(&part.content)?, ..*part });
        let identity = part(&self.identity)?;
        let encoded = self.encoded.iter().filter_map(|(encoding, other)| Some((*encoding, part(other)?)));
        Some(Bodies { identity, encoded: encoded.collect() })
    }
}

impl Resource {
    /// A resource of one representation, without a coding. `digest` is that of `body`; `headers` are those that don't follow
    /// from the bytes: `Content-Type`, `Cache-Control` and what the user set. Those that do follow are overwritten.
    pub fn new(digest: &Digest, headers: HeaderMap, body: impl Into<Content>) -> Self {
        let identity = Part::new(digest, body.into(), 0);
        Resource::of(Arc::new(Fields::new(headers)), Arc::new(Bodies::new(identity, Vec::new())))
    }

    /// The fields may be those of many.
    pub(super) fn of(fields: Arc<Fields>, bodies: Arc<Bodies>) -> Self {
        Resource { has_validators: true, fields, bodies, age: None }
    }

    /// Adds the same content in a coding; its headers are those of the identity, but for what follows from the coding.
    pub fn variant(mut self, encoding: Encoding, body: Bytes) -> Self {
        let part = Part::new(&Digest::of(&body), body.into(), 0);
        let others = self.bodies.encoded.iter().filter(|(other, _)| *other != encoding).cloned();
        let encoded = others.chain([(encoding, part)]).collect();
        self.bodies = Arc::new(Bodies::new(self.bodies.identity.clone(), encoded));
        self
    }

    /// The same content with another `Cache-Control` (RFC 9111 section 5.2), for a URL that is not the content's own.
    pub fn with_cache_control(self, value: HeaderValue) -> Self {
        let fields = Arc::new(self.fields.with_cache_control(value));
        self.with_fields(fields)
    }

    /// For another URL than the content's own.
    pub(super) fn with_fields(self, fields: Arc<Fields>) -> Self {
        Resource { fields, age: None, ..self }
    }

    /// A fingerprinted file, which was part of a release so many releases ago.
    pub(super) fn aged(self, releases: u8) -> Self {
        Resource { age: Some(releases), ..self }
    }

    pub(super) fn age(&self) -> Option<u8> {
        self.age
    }

    pub(super) fn with_bodies(self, bodies: Arc<Bodies>) -> Self {
        Resource { bodies, ..self }
    }

    /// The content as the body of an error: nothing may store it, nothing can be asked of it again.
    pub(super) fn into_error(self) -> Self {
        Resource { has_validators: false, fields: Arc::new(self.fields.of_error()), bodies: self.bodies, age: None }
    }

    pub(super) fn fields(&self) -> &Arc<Fields> {
        &self.fields
    }

    pub(super) fn bodies(&self) -> &Arc<Bodies> {
        &self.bodies
    }

    pub(super) fn identity(&self) -> Representation<'_> {
        self.view(None, &self.bodies.identity)
    }

    /// The representation in a coding, `None` for the identity, if there is one.
    pub(super) fn representation(&self, encoding: Option<Encoding>) -> Option<Representation<'_>> {
        Some(self.view(encoding, self.bodies.part(encoding)?))
    }

    /// The coding of every representation, the preferred ones first, the identity (`None`) last.
    pub(super) fn encodings(&self) -> impl Iterator<Item = Option<Encoding>> {
        self.bodies.parts().map(|(encoding, _)| encoding)
    }

    /// Whether the answer depends on `Accept-Encoding`; if so, every answer has to say it (RFC 9110 section 12.5.5).
    pub(super) fn is_negotiated(&self) -> bool {
        !self.bodies.encoded.is_empty()
    }

    fn view<'a>(&'a self, encoding: Option<Encoding>, part: &'a Part) -> Representation<'a> {
        Representation {
            encoding,
            etag: self.has_validators.then(|| Tag::new(part.print(), encoding)),
            body: &part.content,
            fields: &self.fields,
            is_negotiated: self.is_negotiated(),
        }
    }
}

impl Representation<'_> {
    /// The headers of its 200, but for `Content-Length`.
    pub(super) fn headers(&self) -> HeaderMap {
        self.fields.whole(self.form(), self.tag())
    }

    /// The headers of its 304.
    pub(super) fn not_modified(&self) -> HeaderMap {
        self.fields.not_modified(self.form(), self.tag())
    }

    /// `Strict-Transport-Security` for answers over TLS, where the environment has this one or none.
    pub(super) fn hsts<'h>(&'h self, inherited: Option<&'h HeaderValue>) -> Option<&'h HeaderValue> {
        self.fields.hsts(inherited)
    }

    fn tag(&self) -> Option<HeaderValue> {
        // Of just that capacity, it becomes the value without another allocation. Digits and a token are always one.
        HeaderValue::from_maybe_shared(Bytes::from(self.etag?.as_bytes().to_vec())).ok()
    }

    /// Its fields as they are written, but for its validator and its length; those of a 304, or else those of a 200.
    pub(super) fn lines(&self, is_not_modified: bool) -> &Lines {
        self.fields.lines(self.form(), is_not_modified)
    }

    fn form(&self) -> Form {
        Form { encoding: self.encoding, is_negotiated: self.is_negotiated }
    }
}

/// An entity tag: the fingerprint of the bytes as they are sent, in quotes, and the coding. Another compressor's bytes are so another
/// representation, and never taken for the rest of the first (RFC 9110 section 8.8.1). Made for each answer: kept, it would take more
/// than all else that a file needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag {
    text: [u8; 24],
    length: u8,
}

impl Tag {
    fn new(print: u64, encoding: Option<Encoding>) -> Self {
        let mut text = [b'"'; 24];
        let (digits, rest) = text[1..].split_at_mut(16);
        for (pair, byte) in digits.chunks_exact_mut(2).zip(print.to_be_bytes()) {
            pair.copy_from_slice(&HEX[usize::from(byte)]);
        }
        let coding = encoding.map_or("", Encoding::token).as_bytes();
        let mut length = 18;
        if let (false, Some((dash, rest))) = (coding.is_empty(), rest.split_first_mut()) {
            *dash = b'-';
            rest[..coding.len()].copy_from_slice(coding);
            length += 1 + coding.len();
        }
        Tag { text, length: length as u8 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

/// Each byte in digits.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED, STRICT_TRANSPORT_SECURITY,
        VARY,
    };

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/css"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        headers.insert("x-own", HeaderValue::from_static("1"));
        headers
    }

    fn resource() -> Resource {
        Resource::new(&Digest::of(b"plain"), headers(), Bytes::from_static(b"plain"))
            .variant(Encoding::Gzip, Bytes::from_static(b"gz"))
            .variant(Encoding::Brotli, Bytes::from_static(b"br"))
    }

    #[test]
    fn each_representation_has_its_own_validator_and_coding() {
        let print = |text: &[u8]| Digest::of(text).fingerprint();
        let seen: Vec<String> = resource()
            .encodings()
            .map(|encoding| {
                let headers = resource().representation(encoding).unwrap().headers();
                let of = |name| headers.get(name).map_or("-", |value| value.to_str().unwrap());
                format!("{} {} {}", of(ETAG), of(CONTENT_ENCODING), of(VARY))
            })
            .collect();
        assert_eq!(
            seen,
            [
                format!("\"{}-br\" br accept-encoding", print(b"br").as_str()),
                format!("\"{}-gzip\" gzip accept-encoding", print(b"gz").as_str()),
                format!("\"{}\" - accept-encoding", print(b"plain").as_str()),
            ]
        );
    }

    #[test]
    fn a_304_guides_caches_and_describes_nothing() {
        let resource = resource();
        let headers = resource.identity().not_modified();
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "etag", "vary", "x-own"]);
    }

    #[test]
    fn one_representation_does_not_vary() {
        let resource = Resource::new(&Digest::of(b""), headers(), Bytes::new());
        assert!(!resource.is_negotiated());
        assert!(!resource.identity().headers().contains_key(VARY));
    }

    #[test]
    fn headers_that_follow_from_the_bytes_can_not_be_given() {
        let mut wrong = headers();
        for name in [ETAG, CONTENT_ENCODING, CONTENT_LENGTH, LAST_MODIFIED] {
            wrong.insert(name, HeaderValue::from_static("7"));
        }
        let resource = Resource::new(&Digest::of(b"x"), wrong, Bytes::from_static(b"x"));
        let headers = resource.identity().headers();
        assert_ne!(headers[ETAG], "7");
        for name in [CONTENT_ENCODING, CONTENT_LENGTH, LAST_MODIFIED] {
            assert!(!headers.contains_key(&name), "{name}");
        }
    }

    #[test]
    fn hsts_is_no_field_among_the_others() {
        let inherited = HeaderValue::from_static("max-age=9");
        for (own, want) in [(None, Some("max-age=9")), (Some(""), None), (Some("max-age=1"), Some("max-age=1"))] {
            let mut given = headers();
            given.extend(own.map(|value| (STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(value))));
            let resource = Resource::new(&Digest::of(b"x"), given, Bytes::from_static(b"x"));
            let stable = resource.clone().with_cache_control(HeaderValue::from_static("no-cache"));
            for resource in [resource.clone(), stable, resource.into_error()] {
                let representation = resource.identity();
                let hsts = representation.hsts(Some(&inherited));
                assert_eq!(hsts.map(|value| value.to_str().unwrap()), want);
                assert_eq!(representation.hsts(None), hsts.filter(|_| own.is_some()));
                assert!(!representation.headers().contains_key(STRICT_TRANSPORT_SECURITY));
            }
        }
    }

    #[test]
    fn another_cache_control_is_in_the_304_too() {
        let resource = resource().with_cache_control(HeaderValue::from_static("no-cache"));
        for encoding in resource.encodings() {
            let representation = resource.representation(encoding).unwrap();
            assert_eq!(representation.headers()[CACHE_CONTROL], "no-cache");
            assert_eq!(representation.not_modified()[CACHE_CONTROL], "no-cache");
        }
    }
}
