//! The `srcset` attribute, as the HTML standard parses it: <https://html.spec.whatwg.org/#parsing-a-srcset-attribute>.

use std::ops::Range;

/// Puts other URLs in the candidates' places; `None` if all stay as they are.
pub fn rewrite(value: &str, mut edit: impl FnMut(&str) -> Option<String>) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut copied = 0;
    for (url, _) in candidates(value) {
        if let Some(new) = edit(&value[url.clone()]) {
            out.push_str(&value[copied..url.start]);
            out.push_str(&new.replace(',', "%2C"));
            copied = url.end;
        }
    }
    out.push_str(&value[copied..]);
    (copied > 0).then_some(out)
}

/// Where each candidate's URL stands, and what is said of it.
pub fn candidates(value: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &value[at..];
        let start = at + rest.find(|c: char| !c.is_ascii_whitespace() && c != ',')?;
        let run = value[start..].split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
        // A URL may hold commas, but one at its end is the separator.
        let url = run.trim_end_matches(',');
        let tail = &value[start + run.len()..];
        let descriptor = if url.len() < run.len() { "" } else { &tail[..descriptor_end(tail)] };
        at = start + run.len() + descriptor.len();
        Some((start..start + url.len(), descriptor.trim()))
    })
}

/// The descriptors end at a comma that is not in parentheses.
fn descriptor_end(text: &str) -> usize {
    let mut depth = 0usize;
    text.find(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_told_apart() {
        for (value, want) in [
            ("a 1x,b 2x", "<a> 1x,<b> 2x"),
            ("a, b 2x", "<a>, <b> 2x"),
            (" a 480w ,\n b 2x, ", " <a> 480w ,\n <b> 2x, "),
            ("data:image/png;base64,xx== 1x, b", "<data:image/png;base64%2Cxx==> 1x, <b>"),
            ("a calc(1, 2) 1x, b", "<a> calc(1, 2) 1x, <b>"),
        ] {
            assert_eq!(rewrite(value, |url| Some(format!("<{url}>"))).as_deref(), Some(want), "{value}");
        }
        assert_eq!(rewrite("a 1x, b", |_| None), None);
        let told: Vec<_> = candidates("a 1x,b, c calc(1, 2)x").map(|(_, descriptor)| descriptor).collect();
        assert_eq!(told, ["1x", "", "calc(1, 2)x"]);
    }
}
