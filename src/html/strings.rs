//! The strings of a JSON text, keys and values alike, without touching anything else in it.

/// Puts other strings in the places of those that `edit` answers for; `None` if all stay as they are. `edit` is given the key
/// that stands before a value, or nothing for a key.
pub fn rewrite_strings(json: &str, mut edit: impl FnMut(Option<&str>, &str) -> Option<String>) -> Option<String> {
    let mut out = String::with_capacity(json.len());
    let mut changed = false;
    let mut key: Option<String> = None;
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let Some(length) = literal_length(&rest[start..]) else { break };
        let literal = &rest[start..start + length];
        out.push_str(&rest[..start]);
        let string = serde_json::from_str::<String>(literal).ok();
        let is_key = rest[start + length..].trim_start().starts_with(':');
        let before = key.as_deref().filter(|_| !is_key);
        let new = string.as_deref().and_then(|string| edit(before, string));
        if is_key {
            key = string;
        }
        match new {
            Some(new) => {
                changed = true;
                // `<` is escaped, so that no string can end the script element it stands in.
                out.push_str(&serde_json::Value::from(new).to_string().replace('<', "\\u003c"));
            }
            None => out.push_str(literal),
        }
        rest = &rest[start + length..];
    }
    out.push_str(rest);
    changed.then_some(out)
}

/// Bytes of the string literal that `text` begins with, quotes included.
fn literal_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_edited_and_nothing_else() {
        let edit = |_: Option<&str>, string: &str| (string == "a\"b").then(|| "x</script>".to_owned());
        assert_eq!(
            rewrite_strings(r#"{ "a\"b" : [1, "a\"b", "c"] }"#, edit).as_deref(),
            Some(r#"{ "x\u003c/script>" : [1, "x\u003c/script>", "c"] }"#)
        );
        assert_eq!(rewrite_strings(r#"{"a": "unclosed"#, edit), None);
    }
}
