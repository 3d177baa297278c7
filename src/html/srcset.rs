//! The `srcset` attribute, as the HTML standard parses it: <https://html.spec.whatwg.org/#parsing-a-srcset-attribute>.

/// Puts other URLs in the candidates' places; `None` if all stay as they are.
pub fn rewrite(value: &str, mut edit: impl FnMut(&str) -> Option<String>) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut changed = false;
    let mut rest = value;
    while !rest.is_empty() {
        let start = rest.find(|c: char| !c.is_ascii_whitespace() && c != ',').unwrap_or(rest.len());
        let (gap, tail) = rest.split_at(start);
        out.push_str(gap);
        if tail.is_empty() {
            break;
        }
        let end = tail.find(|c: char| c.is_ascii_whitespace()).unwrap_or(tail.len());
        let (run, tail) = tail.split_at(end);
        // A URL may hold commas, but one at its end is the separator.
        let url = run.trim_end_matches(',');
        match edit(url) {
            Some(new) => {
                changed = true;
                out.push_str(&new.replace(',', "%2C"));
            }
            None => out.push_str(url),
        }
        out.push_str(&run[url.len()..]);
        let next = if url.len() < run.len() { 0 } else { descriptor_end(tail) };
        out.push_str(&tail[..next]);
        rest = &tail[next..];
    }
    changed.then_some(out)
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
    }
}
