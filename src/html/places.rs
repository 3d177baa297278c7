//! Which attributes of which elements are URLs, in HTML and SVG (<https://html.spec.whatwg.org/#attributes-3>): known here, for every
//! way in which a page is read.

use super::words;

/// The elements that have a URL somewhere, with the attributes that are nothing but one. What else those have is [`super::walk`]'s.
pub const ELEMENTS: [(&str, &[&str]); 20] = [
    ("a", &["href", "xlink:href"]),
    ("area", &["href", "xlink:href"]),
    ("audio", &["src"]),
    ("base", &[]),
    ("embed", &["src"]),
    ("feimage", &["href", "xlink:href"]),
    ("form", &["action"]),
    ("frame", &["src"]),
    ("iframe", &["src"]),
    ("image", &["href", "xlink:href"]),
    ("img", &["src"]),
    ("input", &["src"]),
    ("link", &[]),
    ("meta", &[]),
    ("object", &["data"]),
    ("script", &[]),
    ("source", &["src"]),
    ("track", &["src"]),
    ("use", &["href", "xlink:href"]),
    ("video", &["src", "poster"]),
];

/// The attributes of an element that are URLs.
pub fn urls_of(tag: &str) -> &'static [&'static str] {
    if let Some((_, names)) = Key::of(tag.as_bytes()).with_urls() {
        return names;
    }
    match tag {
        "div" | "p" | "span" | "li" | "ul" | "td" | "tr" | "h1" | "h2" | "h3" | "section" => &[],
        // Of one's own, perhaps.
        _ => &["href", "xlink:href", "src", "poster", "action"],
    }
}

/// An element's name in lower case, as one number: that of none if it is long, and none of those that matter. Bytes that are in none of
/// those may be taken for one another.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Key(u64);

/// The bit that makes a letter a small one.
const SMALL: u8 = 0x20;

/// Those that are too long to be a number of their letters.
const LONG: [&str; 4] = ["annotation-xml", "blockquote", "foreignobject", "plaintext"];

impl Key {
    pub const fn of(name: &[u8]) -> Self {
        let mut key = 0;
        let mut at = 0;
        while at < name.len() {
            if at == 8 {
                return Self::long(name);
            }
            key = key << 8 | (name[at] | SMALL) as u64;
            at += 1;
        }
        Key(key)
    }

    /// That of the name up to the first byte that ends it, and its length.
    pub fn before(bytes: &[u8], ends: impl Fn(u8) -> bool) -> (Self, usize) {
        // All that ends a name comes before the letters.
        if let Some(word) = words::word(bytes, 0)
            && let Some(length) = words::below(word, b'A')
            && bytes.get(length).is_some_and(|byte| ends(*byte))
        {
            return (Key(words::letters(word, length)), length);
        }
        let (mut key, mut length) = (0, 0);
        for byte in bytes.iter().take_while(|byte| !ends(**byte)) {
            key = key << 8 | u64::from(byte | SMALL);
            length += 1;
        }
        let key = if length <= 8 { Key(key) } else { Key::of(bytes.get(..length).unwrap_or_default()) };
        (key, length)
    }

    const fn long(name: &[u8]) -> Self {
        let mut index = 0;
        while index < LONG.len() {
            if name.eq_ignore_ascii_case(LONG[index].as_bytes()) {
                // No name begins with this byte twice.
                return Key(0xffff << 48 | index as u64);
            }
            index += 1;
        }
        Key(0)
    }

    /// The element that has URLs: its name, and the attributes that are nothing but one.
    pub fn with_urls(self) -> Option<(&'static str, &'static [&'static str])> {
        ELEMENTS.get(KEYS.position(self)?).copied()
    }

    /// Whether the element has URLs, or what follows its tag is to be read otherwise than what follows others.
    pub fn matters(self) -> bool {
        let bits = const { KEYS.bits | RAW_KEYS.bits | SPACES.bits };
        bits & self.bit() != 0
            && (KEYS.position(self).is_some() || RAW_KEYS.position(self).is_some() || SPACES.position(self).is_some())
    }
}

/// Elements that have nothing but text (<https://html.spec.whatwg.org/#parsing-html-fragments>).
pub const RAW: [&str; 10] =
    ["iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp"];
pub const RAW_KEYS: Keys<{ RAW.len() }> = Keys::of(RAW);
const SPACES: Keys<2> = Keys::of(["math", "svg"]);

const KEYS: Keys<{ ELEMENTS.len() }> = {
    let mut names = [""; ELEMENTS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = ELEMENTS[index].0;
        index += 1;
    }
    Keys::of(names)
};

/// Some names, among which one is soon found, or found not to be.
pub struct Keys<const N: usize> {
    keys: [Key; N],
    /// A bit for each, though several may have the same.
    bits: u64,
}

impl<const N: usize> Keys<N> {
    pub const fn of(names: [&str; N]) -> Self {
        let mut keys = Keys { keys: [Key(0); N], bits: 0 };
        let mut index = 0;
        while index < N {
            let key = Key::of(names[index].as_bytes());
            keys.keys[index] = key;
            keys.bits |= key.bit();
            index += 1;
        }
        keys
    }

    pub fn position(&self, key: Key) -> Option<usize> {
        match self.bits & key.bit() {
            0 => None,
            _ => self.keys.iter().position(|own| *own == key),
        }
    }
}

impl Key {
    const fn bit(self) -> u64 {
        1 << (self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for (name, _) in ELEMENTS {
            assert_eq!(Key::of(name.to_ascii_uppercase().as_bytes()).with_urls().map(|(name, _)| name), Some(name));
        }
        for name in ["", "p", "images", "videos", "annotation-xml", "my-element", "\u{ff}\u{ff}"] {
            assert_eq!(Key::of(name.as_bytes()).with_urls(), None, "{name}");
        }
        assert_ne!(Key::of(b"plaintext"), Key::of(b"blockquote"));
        assert_eq!(Key::of(b"foreignObject"), Key::of(b"foreignobject"));
    }
}
