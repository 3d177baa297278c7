//! The `url()`s of a stylesheet's text, told apart from strings and comments by the standard's tokenizer.

use cssparser::{Delimiter, ParseError, Parser, ParserInput, Token};

/// Puts other URLs in the places of those that `edit` answers for; `None` if all stay as they are.
pub fn rewrite(css: &str, mut edit: impl FnMut(&str) -> Option<String>) -> Option<String> {
    if !css.contains(['(', '@']) {
        return None;
    }
    let mut input = ParserInput::new(css);
    let mut found = Vec::new();
    collect(&mut Parser::new(&mut input), &mut found);
    let mut out = String::with_capacity(css.len());
    let mut done = 0;
    for (start, end, url) in found {
        if let (Some(new), Some(before)) = (edit(&url), css.get(done..start)) {
            out.push_str(before);
            match css.as_bytes().get(start) {
                Some(b'"' | b'\'') => {
                    out.push('"');
                    out.push_str(&new.replace('\\', "\\\\").replace('"', "\\\""));
                    out.push('"');
                }
                _ => {
                    out.push_str("url(");
                    out.push_str(&new.replace(['(', ')', ' ', '"', '\''], ""));
                    out.push(')');
                }
            }
            done = end;
        }
    }
    if done == 0 {
        return None;
    }
    out.push_str(css.get(done..)?);
    Some(out)
}

/// Each URL with the bytes of its token: `url(x)` unquoted, or the string of `url("x")` and of all else that takes one.
fn collect(parser: &mut Parser<'_, '_>, found: &mut Vec<(usize, usize, String)>) {
    let mut importing = false;
    loop {
        let start = parser.position().byte_index();
        let Ok(token) = parser.next_including_whitespace_and_comments().cloned() else { return };
        match token {
            Token::WhiteSpace(_) | Token::Comment(_) => continue,
            Token::UnquotedUrl(url) => found.push((start, parser.position().byte_index(), url.to_string())),
            Token::QuotedString(url) if importing => {
                found.push((start, parser.position().byte_index(), url.to_string()));
            }
            // A namespace is only a name.
            Token::AtKeyword(name) if name.eq_ignore_ascii_case("namespace") => {
                let _ = parser.parse_until_after(Delimiter::Semicolon, |parser| -> Result<(), ParseError<'_, ()>> {
                    while parser.next().is_ok() {}
                    Ok(())
                });
            }
            Token::AtKeyword(name) if name.eq_ignore_ascii_case("import") => {
                importing = true;
                continue;
            }
            Token::Function(name) if takes_strings(&name) => nested(parser, found, quoted),
            Token::Function(_) | Token::ParenthesisBlock | Token::SquareBracketBlock | Token::CurlyBracketBlock => {
                nested(parser, found, collect);
            }
            _ => {}
        }
        importing = false;
    }
}

/// Whether a string among the arguments is a URL.
fn takes_strings(function: &str) -> bool {
    ["url", "src", "image-set", "-webkit-image-set"].iter().any(|name| function.eq_ignore_ascii_case(name))
}

fn quoted(parser: &mut Parser<'_, '_>, found: &mut Vec<(usize, usize, String)>) {
    loop {
        let start = parser.position().byte_index();
        let Ok(token) = parser.next_including_whitespace_and_comments().cloned() else { return };
        match token {
            Token::QuotedString(url) | Token::UnquotedUrl(url) => {
                found.push((start, parser.position().byte_index(), url.to_string()));
            }
            Token::Function(name) if takes_strings(&name) => nested(parser, found, quoted),
            _ => {}
        }
    }
}

fn nested(
    parser: &mut Parser<'_, '_>,
    found: &mut Vec<(usize, usize, String)>,
    visit: fn(&mut Parser<'_, '_>, &mut Vec<(usize, usize, String)>),
) {
    let _ = parser.parse_nested_block(|parser| -> Result<(), ParseError<'_, ()>> {
        visit(parser, found);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_strings_and_comments() {
        let edit = |url: &str| url.starts_with('/').then(|| format!("https://c{url}"));
        for (css, want) in [
            ("a{b:url(/x)}", Some("a{b:url(https://c/x)}")),
            ("a{b:url( '/x' )}", Some("a{b:url( \"https://c/x\" )}")),
            (
                "@media x{a{b:image-set(url(/x) 1x,url(y) 2x)}}",
                Some("@media x{a{b:image-set(url(https://c/x) 1x,url(y) 2x)}}"),
            ),
            ("/* url(/x) */ a{content:\"url(/x)\"}", None),
            ("a{b:url(x)}", None),
            (
                "@import '/x' print;@import /**/ url('/x');@import url(/x);",
                Some("@import \"https://c/x\" print;@import /**/ url(\"https://c/x\");@import url(https://c/x);"),
            ),
            (
                "a{b:image-set('/x' 1x type('/y'),url('/x') 2x)}",
                Some("a{b:image-set(\"https://c/x\" 1x type('/y'),url(\"https://c/x\") 2x)}"),
            ),
            ("@namespace svg url(/x);a{b:src('/x')}", Some("@namespace svg url(/x);a{b:src(\"https://c/x\")}")),
            ("@charset '/x';@import layer('/x');", None),
        ] {
            assert_eq!(rewrite(css, edit).as_deref(), want, "{css}");
        }
    }
}
