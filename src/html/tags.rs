//! A page's elements as a browser's parser sees them, for what has to be known of a page rather than changed in it.

use std::cell::RefCell;

use lol_html::html_content::Element;
use lol_html::{RewriteStrSettings, element, rewrite_str, text};

use super::{parse_fault, references};
use crate::error::Result;

/// An element's start.
#[derive(Debug, Clone)]
pub struct Tag {
    /// In lower case.
    pub name: String,
    /// Within an `<svg>` or a `<math>`, where the text of scripts and styles is parsed like any other.
    pub is_foreign: bool,
    /// Names in lower case, values with their references replaced.
    pub attributes: Vec<(String, String)>,
}

impl Tag {
    fn of(element: &Element<'_, '_>) -> Self {
        let attribute = |attribute: &lol_html::html_content::Attribute<'_>| {
            (attribute.name(), references::decode(&attribute.value()).into_owned())
        };
        Tag {
            name: element.tag_name(),
            is_foreign: element.namespace_uri() != "http://www.w3.org/1999/xhtml",
            attributes: element.attributes().iter().map(attribute).collect(),
        }
    }

    /// The value of an attribute; empty where it is given without one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether an attribute that is a list of words has this one, in whatever case.
    pub fn has_word(&self, name: &str, word: &str) -> bool {
        self.get(name).is_some_and(|value| value.split_ascii_whitespace().any(|part| part.eq_ignore_ascii_case(word)))
    }
}

/// Is shown a page from its top to its end.
pub trait Visitor {
    fn element(&mut self, tag: &Tag);

    /// The text of a `<script>` or `<style>` that is not empty, as the document will have it.
    fn text(&mut self, tag: &Tag, text: &str);
}

/// Shows a page to a visitor, with what stands in `<noscript>` and in `srcdoc`. `name` is how the user knows the page.
pub fn visit(name: &str, html: &str, visitor: &mut dyn Visitor) -> Result<()> {
    struct State<'v> {
        visitor: &'v mut dyn Visitor,
        /// The script or style whose text comes next.
        open: Option<Tag>,
        text: String,
        /// Documents within this one, which no parser looks into while it reads this one.
        inner: Vec<String>,
    }
    let state = RefCell::new(State { visitor, open: None, text: String::new(), inner: Vec::new() });
    let settings = RewriteStrSettings::new()
        .append_element_content_handler(element!("*", |element| {
            let state = &mut *state.borrow_mut();
            let tag = Tag::of(element);
            state.visitor.element(&tag);
            if let Some(document) = tag.get("srcdoc") {
                state.inner.push(document.to_owned());
            }
            state.open = matches!(tag.name.as_str(), "script" | "style").then_some(tag);
            Ok(())
        }))
        .append_element_content_handler(text!("script, style, noscript", |chunk| {
            let state = &mut *state.borrow_mut();
            state.text.push_str(chunk.as_str());
            if chunk.last_in_text_node() {
                let text = std::mem::take(&mut state.text);
                match &state.open {
                    Some(tag) if !text.is_empty() => state.visitor.text(tag, &as_parsed(tag, &text)),
                    Some(_) => {}
                    None => state.inner.push(text),
                }
            }
            Ok(())
        }))
        .with_strict(false);
    rewrite_str(html, settings).map_err(|error| parse_fault(name, &error))?;
    let State { visitor, inner, .. } = state.into_inner();
    for document in inner {
        visit(name, &document, visitor)?;
    }
    Ok(())
}

/// <https://html.spec.whatwg.org/#preprocessing-the-input-stream>, and in foreign content references and CDATA sections.
fn as_parsed(tag: &Tag, text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}");
    match tag.is_foreign {
        true => references::decode(text.trim_start_matches("<![CDATA[").trim_end_matches("]]>")).into_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Visitor for Seen {
        fn element(&mut self, tag: &Tag) {
            let attributes: Vec<String> =
                tag.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
            self.0.push(format!("<{}> {}", tag.name, attributes.join(" ")).trim_end().to_owned());
        }

        fn text(&mut self, tag: &Tag, text: &str) {
            self.0.push(format!("{}: {text}", tag.name));
        }
    }

    fn seen(html: &str) -> Vec<String> {
        let mut seen = Seen::default();
        visit("page", html, &mut seen).unwrap();
        seen.0
    }

    #[test]
    fn elements_and_the_text_of_scripts_and_styles() {
        assert_eq!(
            seen(
                "<P OnClick=\"a(&quot;x&quot;)\" hidden>b<script>1 &lt; 2\r\n</script><style>a{}</style><script src=x></script>"
            ),
            [
                "<p> onclick=a(\"x\") hidden=",
                "<script>",
                "script: 1 &lt; 2\n",
                "<style>",
                "style: a{}",
                "<script> src=x",
            ]
        );
    }

    #[test]
    fn what_is_commented_out_or_text_is_no_element() {
        assert_eq!(seen("<!-- <script>1</script> --><textarea><script>1</script></textarea>"), ["<textarea>"]);
    }

    #[test]
    fn documents_within_the_document() {
        assert_eq!(
            seen("<noscript><img src=a></noscript><iframe srcdoc='<script>1</script>'></iframe>"),
            ["<noscript>", "<iframe> srcdoc=<script>1</script>", "<img> src=a", "<script>", "script: 1"]
        );
    }

    #[test]
    fn drawings_hold_text_of_another_kind() {
        assert_eq!(seen("<svg><style>a&gt;b{}</style></svg>"), ["<svg>", "<style>", "style: a>b{}"]);
    }
}
