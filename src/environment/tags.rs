//! Cache tags: names that a CDN can purge everything by that carries them.

use crate::fingerprint::Digest;
use crate::manifest::Kind;

/// A header that carries tags, and how it parts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TagHeader {
    /// Fastly's.
    SurrogateKey,
    /// Cloudflare's.
    CacheTag,
    /// Akamai's.
    EdgeCacheTag,
}

/// Bytes of the longest tag. CDNs allow 1,024 and more, of which Akamai 128.
const LONGEST: usize = 128;

impl TagHeader {
    pub const fn name(self) -> &'static str {
        match self {
            TagHeader::SurrogateKey => "surrogate-key",
            TagHeader::CacheTag => "cache-tag",
            TagHeader::EdgeCacheTag => "edge-cache-tag",
        }
    }

    /// The header's value.
    pub fn join(self, tags: &[String]) -> String {
        tags.join(match self {
            TagHeader::SurrogateKey => " ",
            TagHeader::CacheTag | TagHeader::EdgeCacheTag => ",",
        })
    }
}

/// What a file is tagged with whatever release it is of: the tag of all of its kind, and for what can change its own.
pub fn tags_of(kind: Kind, path: &str) -> Vec<String> {
    match kind {
        Kind::Page => vec!["pages".to_owned(), tag("page", path)],
        Kind::Public => vec!["public".to_owned(), tag("file", path)],
        Kind::Asset => vec!["assets".to_owned()],
    }
}

/// A tag of printable ASCII without spaces and commas; one that is too long ends in a digest of what was cut off.
pub fn tag(kind: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/%".contains(c);
    let safe: String = name
        .chars()
        .map(|c| match plain(c) {
            true => c.to_string(),
            false => crate::asset::url_path(&c.to_string()).replace(|c: char| !plain(c), "_"),
        })
        .collect();
    let tag = format!("{kind}-{safe}");
    if tag.len() <= LONGEST {
        return tag;
    }
    let digest = Digest::of(name.as_bytes()).fingerprint();
    let start = tag.get(..LONGEST - digest.as_str().len() - 1).unwrap_or_default();
    format!("{start}~{}", digest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_are_tokens() {
        assert_eq!(tag("page", "docs/index.html"), "page-docs/index.html");
        assert_eq!(tag("page", "a b,c.html"), "page-a%20b%2Cc.html");
        assert_eq!(tag("page", "a(b).html"), "page-a_b_.html");
        let long = tag("page", &"x/".repeat(200));
        assert_eq!(long.len(), LONGEST);
        assert_ne!(long, tag("page", &"x/".repeat(201)));
    }

    proptest! {
        #[test]
        fn any_path_gives_a_bounded_token(path in any::<String>()) {
            let tag = tag("page", &path);
            prop_assert!(tag.len() <= LONGEST);
            prop_assert!(tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
        }
    }
}
