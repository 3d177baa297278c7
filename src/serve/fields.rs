//! The header fields of a file's answers, but for its validator and its lengths: one set for all files that have equal ones.

use std::sync::OnceLock;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, LAST_MODIFIED, STRICT_TRANSPORT_SECURITY, VARY,
};

use super::metrics::is_immutable;
use super::resource::OF_CACHES;
use crate::encoding::Encoding;

/// What a validator is put in place of.
const PLACE: HeaderValue = HeaderValue::from_static("");

/// Made from the headers that don't follow from the bytes; those that do are added here. A whole map takes a kilobyte, and there
/// are two for each representation: so they are made once for all who share this, when they are first asked for.
#[derive(Debug)]
pub struct Fields {
    own: HeaderMap,
    hsts: Hsts,
    is_error: bool,
    /// One for each coding, and for the identity with and without others beside it.
    sets: [OnceLock<Box<Set>>; 5],
}

/// `Strict-Transport-Security` of a file's answers. It is no field among the others, as it is for those over TLS alone (RFC 6797 section
/// 7.2), and there once (section 7.1).
#[derive(Debug, Clone)]
enum Hsts {
    /// That of the environment.
    Inherited,
    None,
    Own(HeaderValue),
}

/// What the fields of a representation depend on, beside those that are given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) encoding: Option<Encoding>,
    /// Whether the resource has other representations: if so, every answer has to say it (RFC 9110 section 12.5.5).
    pub(super) is_negotiated: bool,
}

/// In each map the first place is the validator's, so that it is filled without a search.
#[derive(Debug)]
struct Set {
    whole: HeaderMap,
    not_modified: HeaderMap,
    whole_lines: Lines,
    not_modified_lines: Lines,
}

/// Fields as HTTP/1.1 writes them, without a validator.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) text: Box<[u8]>,
    /// Whether caches keep what has them for ever.
    pub(super) is_immutable: bool,
}

impl Lines {
    fn of(headers: &HeaderMap) -> Self {
        let mut text = Vec::new();
        for (name, value) in headers.iter().filter(|(name, _)| *name != ETAG) {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
        Lines { text: text.into(), is_immutable: is_immutable(headers) }
    }
}

impl Fields {
    /// `own` are `Content-Type`, `Cache-Control` and what the user set. Those that follow from the bytes are overwritten. An empty
    /// `Strict-Transport-Security` is for none, where the environment has one.
    pub fn new(mut own: HeaderMap) -> Self {
        let hsts = match own.remove(STRICT_TRANSPORT_SECURITY) {
            None => Hsts::Inherited,
            Some(value) if value.is_empty() => Hsts::None,
            Some(value) => Hsts::Own(value),
        };
        Fields { own, hsts, is_error: false, sets: Default::default() }
    }

    /// `Strict-Transport-Security` for answers over TLS, where the environment has this one or none.
    pub(super) fn hsts<'h>(&'h self, inherited: Option<&'h HeaderValue>) -> Option<&'h HeaderValue> {
        match &self.hsts {
            Hsts::Inherited => inherited,
            Hsts::None => None,
            Hsts::Own(value) => Some(value),
        }
    }

    /// Those that were given.
    pub(super) fn own(&self) -> &HeaderMap {
        &self.own
    }

    /// The same with another `Cache-Control` (RFC 9111 section 5.2).
    pub fn with_cache_control(&self, value: HeaderValue) -> Self {
        let mut own = self.own.clone();
        own.insert(CACHE_CONTROL, value);
        Fields { own, hsts: self.hsts.clone(), is_error: self.is_error, sets: Default::default() }
    }

    /// Those of an error's body: nothing may store it, nothing can be asked of it again.
    pub(super) fn of_error(&self) -> Self {
        let mut own = self.own.clone();
        OF_CACHES.iter().for_each(|name| drop(own.remove(name)));
        own.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Fields { own, hsts: self.hsts.clone(), is_error: true, sets: Default::default() }
    }

    /// The headers of a 200, but for `Content-Length`, which the transport knows from the body.
    pub(super) fn whole(&self, form: Form, etag: Option<HeaderValue>) -> HeaderMap {
        filled(&self.set(form).whole, etag)
    }

    /// The headers of a 304.
    pub(super) fn not_modified(&self, form: Form, etag: Option<HeaderValue>) -> HeaderMap {
        filled(&self.set(form).not_modified, etag)
    }

    /// The lines of a 304, or else of a 200, but for the validator and the length.
    pub(super) fn lines(&self, form: Form, is_not_modified: bool) -> &Lines {
        let set = self.set(form);
        if is_not_modified { &set.not_modified_lines } else { &set.whole_lines }
    }

    fn set(&self, form: Form) -> &Set {
        let [brotli, zstd, gzip, negotiated, alone] = &self.sets;
        let set = match (form.encoding, form.is_negotiated) {
            (Some(Encoding::Brotli), _) => brotli,
            (Some(Encoding::Zstd), _) => zstd,
            (Some(Encoding::Gzip), _) => gzip,
            (None, true) => negotiated,
            (None, false) => alone,
        };
        set.get_or_init(|| Box::new(self.make(form)))
    }

    fn make(&self, form: Form) -> Set {
        let mut whole = HeaderMap::with_capacity(self.own.len() + 5);
        if !self.is_error {
            whole.insert(ETAG, PLACE);
        }
        if let Some(encoding) = form.encoding {
            whole.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.token()));
        }
        if form.is_negotiated {
            whole.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if !self.is_error {
            whole.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        // A time would be a second validator, which `conditional` doesn't compare.
        let follow: Vec<HeaderName> =
            whole.keys().cloned().chain([ETAG, CONTENT_LENGTH, CONTENT_ENCODING, LAST_MODIFIED]).collect();
        for (name, value) in self.own.iter().filter(|(name, _)| !follow.contains(name)) {
            whole.append(name, value.clone());
        }
        let not_modified = not_modified(&whole);
        let (whole_lines, not_modified_lines) = (Lines::of(&whole), Lines::of(&not_modified));
        Set { whole, not_modified, whole_lines, not_modified_lines }
    }
}

/// A copy with the validator in its place. What has one has a place for it; an error has neither.
fn filled(headers: &HeaderMap, etag: Option<HeaderValue>) -> HeaderMap {
    let mut headers = headers.clone();
    if let (Some(place), Some(etag)) = (headers.values_mut().next(), etag) {
        *place = etag;
    }
    headers
}

/// RFC 9110 section 15.4.5: a 304 repeats what guides a cache, not what describes the content.
fn not_modified(headers: &HeaderMap) -> HeaderMap {
    let describe = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, ACCEPT_RANGES];
    let guides = headers.iter().filter(|(name, _)| !describe.contains(name));
    guides.map(|(name, value)| (name.clone(), value.clone())).collect()
}
