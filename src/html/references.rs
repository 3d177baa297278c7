//! Character references in attributes, read as a browser reads them (<https://html.spec.whatwg.org/#named-character-reference-state>).

use std::borrow::Cow;

use memchr::memchr;

/// The names that templates and minifiers write. Of the 2,000 others, none is needed in an attribute of a page in UTF-8.
const NAMES: [(&str, char); 12] = [
    ("amp", '&'),
    ("quot", '"'),
    ("lt", '<'),
    ("gt", '>'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("colon", ':'),
    ("sol", '/'),
    ("lpar", '('),
    ("rpar", ')'),
];

/// Of those, the ones that may stand without a semicolon.
const BARE: [&str; 5] = ["amp", "quot", "lt", "gt", "nbsp"];

/// An attribute's value with its references replaced; what is none stays as it is.
pub fn decode(value: &str) -> Cow<'_, str> {
    if memchr(b'&', value.as_bytes()).is_none() {
        return value.into();
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        match reference(after) {
            Some((character, length)) => {
                out.push(character);
                rest = after.get(length..).unwrap_or_default();
            }
            None => {
                out.push('&');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out.into()
}

/// The character that `text` starts with a reference to, and the reference's length.
fn reference(text: &str) -> Option<(char, usize)> {
    let body = text.strip_prefix('&')?;
    if let Some(number) = body.strip_prefix('#') {
        let (radix, digits) = match number.strip_prefix(['x', 'X']) {
            Some(digits) => (16, digits),
            None => (10, number),
        };
        let count = digits.chars().take_while(|c| c.is_digit(radix)).count();
        if count == 0 {
            return None;
        }
        let (digits, after) = digits.split_at_checked(count)?;
        // Zero, surrogates and numbers too large: https://html.spec.whatwg.org/#numeric-character-reference-end-state
        let code = u32::from_str_radix(digits, radix).ok().filter(|code| *code != 0);
        let character = code.and_then(char::from_u32).unwrap_or('\u{fffd}');
        return Some((character, text.len() - after.len() + usize::from(after.starts_with(';'))));
    }
    NAMES.iter().find_map(|(name, character)| {
        let after = body.strip_prefix(name)?;
        let length = 1 + name.len();
        match after.chars().next() {
            Some(';') => Some((*character, length + 1)),
            // For historical reasons, as the standard says, `&lt=` and `&ltx` are no references in an attribute.
            Some('=') => None,
            Some(next) if next.is_ascii_alphanumeric() => None,
            _ if BARE.contains(name) => Some((*character, length)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn references_are_read_as_browsers_do() {
        for (value, want) in [
            ("a", "a"),
            ("a?b=1&amp;c=2", "a?b=1&c=2"),
            ("a?b=1&c=2&copy=3", "a?b=1&c=2&copy=3"),
            ("&quot;&#34;&#x22;&#34", "\"\"\"\""),
            ("&lt;&gt;&apos;&#39;&#x2F;", "<>''/"),
            ("&amp;amp;", "&amp;"),
            ("&amp", "&"),
            ("&ampx &amp=1 &apos", "&ampx &amp=1 &apos"),
            ("&#0;&#xD800;&#99999999999;", "\u{fffd}\u{fffd}\u{fffd}"),
            ("&#; &#x; &;", "&#; &#x; &;"),
            ("java&Tab;script&colon;x&lpar;1&rpar;", "java\tscript:x(1)"),
        ] {
            assert_eq!(decode(value), want, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[&#x0-9a-z;=é]{0,40}") {
            decode(&text);
        }

        #[test]
        fn what_was_escaped_comes_back(text in any::<String>()) {
            let escaped = text.replace('&', "&amp;").replace('"', "&quot;");
            prop_assert_eq!(decode(&escaped), text);
        }
    }
}
