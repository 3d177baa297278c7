//! A page's URLs: finds every place where a page may name an asset, and lets an [`Editor`] put another URL there.
//!
//! Whatever the editor leaves alone passes through byte for byte.

use crate::error::{Fault, Result};

mod css_urls;
mod dimensions;
mod fallback;
mod head;
mod parser;
mod places;
mod references;
mod scanner;
mod srcset;
mod stream;
mod strings;
mod tags;
mod walk;
mod words;

pub use fallback::{Fallback, hashes as fallback_hashes};
pub use stream::Stream;
pub use strings::rewrite_strings;
pub use tags::{Tag, Visitor, visit};

/// What kind of place a URL stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Script {
        module: bool,
    },
    Stylesheet,
    /// `<link rel="modulepreload">`, or `preload` of a script or a stylesheet: they take `integrity`.
    Preload,
    /// An image that other sites fetch (`og:image`): it has to be absolute.
    Shared,
    /// A string in a JSON block (import map, JSON-LD, speculation rules) that may be a URL or anything else.
    Json,
    /// The target of an SVG `<use>`, which browsers refuse to fetch from another origin, whatever its headers say.
    /// <https://github.com/w3c/svgwg/issues/707>
    Use,
    /// Any other attribute or `url()`.
    Other,
}

impl Place {
    /// Whether the element that a URL stands in takes `integrity`.
    pub fn takes_integrity(self) -> bool {
        matches!(self, Place::Script { .. } | Place::Stylesheet | Place::Preload)
    }
}

/// What an editor puts in a URL's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub url: String,
    /// The file's integrity, if it is known and the place takes it. It takes the place of one that the element has, and is added to one that takes
    /// it where the file comes from another origin.
    pub integrity: Option<String>,
    /// Whether the file comes from another origin.
    pub other_origin: bool,
    /// What is loaded where that fails.
    pub fallback: Option<Fallback>,
}

impl From<String> for Link {
    fn from(url: String) -> Self {
        Link { url, integrity: None, other_origin: false, fallback: None }
    }
}

/// Decides what a page's URLs become.
pub trait Editor: Send {
    /// The URL to put in this one's place; `None` leaves it as it is.
    fn url(&mut self, place: Place, url: &str) -> Option<Link>;

    /// HTML to insert before the element that loads what is at this URL.
    fn before(&mut self, _place: Place, _url: &str) -> Option<String> {
        None
    }

    /// The page has a `<base>` with this `href`, for the URLs after it.
    fn base(&mut self, _href: &str) {}

    /// Whether [`Editor::size`] is to be asked.
    fn knows_sizes(&self) -> bool {
        false
    }

    /// The size in CSS pixels at which the image at this URL is shown, to be written where an `<img>` gives none.
    fn size(&mut self, _url: &str) -> Option<(u32, u32)> {
        None
    }

    /// HTML to insert before all else in `<head>` (but after a leading `<meta charset>`), asked for once.
    fn head(&mut self) -> Option<String> {
        None
    }

    /// HTML to insert after all else in `<head>`, asked for once.
    fn head_end(&mut self) -> Option<String> {
        None
    }

    /// The content of the `<meta>` of that name.
    fn meta(&mut self, _name: &str) -> Option<String> {
        None
    }

    /// Whether [`Editor::script`] has something to say of inline scripts of this kind: they are held back until their end has come.
    fn reads_script(&self, _kind: &str) -> bool {
        true
    }

    /// Another text for an inline script, after its URLs were edited; `kind` is its `type` attribute.
    fn script(&mut self, _kind: &str, _text: &str) -> Option<String> {
        None
    }
}

/// The page with every URL as the editor wants it. `name` is how the user knows the page.
pub fn edit(name: &str, html: &str, editor: &mut dyn Editor) -> Result<String> {
    parser::edit(html, editor).map_err(|error| parse_fault(name, &error).into())
}

fn parse_fault(name: &str, error: &lol_html::errors::RewritingError) -> Fault {
    Fault::new(format!("could not parse the page `{name}`: {error}")).hint("check its HTML")
}

/// The URLs of a stylesheet's text, as [`edit`] does for `<style>`.
pub fn edit_css(css: &str, edit: impl FnMut(&str) -> Option<String>) -> Option<String> {
    css_urls::rewrite(css, edit)
}

/// The URLs of a `srcset`.
pub fn srcset_urls(value: &str) -> impl Iterator<Item = &str> {
    srcset::candidates(value).filter_map(|(url, _)| value.get(url))
}

/// An editor that belongs to somebody else.
impl Editor for &mut dyn Editor {
    fn url(&mut self, place: Place, url: &str) -> Option<Link> {
        (**self).url(place, url)
    }

    fn before(&mut self, place: Place, url: &str) -> Option<String> {
        (**self).before(place, url)
    }

    fn base(&mut self, href: &str) {
        (**self).base(href);
    }

    fn knows_sizes(&self) -> bool {
        (**self).knows_sizes()
    }

    fn size(&mut self, url: &str) -> Option<(u32, u32)> {
        (**self).size(url)
    }

    fn head(&mut self) -> Option<String> {
        (**self).head()
    }

    fn head_end(&mut self) -> Option<String> {
        (**self).head_end()
    }

    fn meta(&mut self, name: &str) -> Option<String> {
        (**self).meta(name)
    }

    fn reads_script(&self, kind: &str) -> bool {
        (**self).reads_script(kind)
    }

    fn script(&mut self, kind: &str, text: &str) -> Option<String> {
        (**self).script(kind, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts every URL that holds `a.` on another origin.
    struct Moves;

    impl Editor for Moves {
        fn url(&mut self, _: Place, url: &str) -> Option<Link> {
            url.contains("/a.").then(|| Link {
                url: format!("https://c{url}"),
                integrity: Some("sha256-x".into()),
                other_origin: true,
                fallback: None,
            })
        }

        fn head(&mut self) -> Option<String> {
            Some("<x>".into())
        }

        fn meta(&mut self, name: &str) -> Option<String> {
            (name == "fingerpost:release").then(|| "r1".into())
        }
    }

    fn moved(html: &str) -> String {
        edit("page.html", html, &mut Moves).unwrap()
    }

    #[test]
    fn urls_are_found_wherever_they_stand() {
        for (html, want) in [
            (r#"<img src="/a.png">"#, r#"<img src="https://c/a.png">"#),
            (r#"<a href=/a.pdf>x</a>"#, r#"<a href="https://c/a.pdf">x</a>"#),
            (
                r#"<img srcset="/a.png 1x, /b.png 2x, /a.gif">"#,
                r#"<img srcset="https://c/a.png 1x, /b.png 2x, https://c/a.gif">"#,
            ),
            (r#"<video poster=/a.jpg></video>"#, r#"<video poster="https://c/a.jpg"></video>"#),
            (r#"<object data=/a.svg></object>"#, r#"<object data="https://c/a.svg"></object>"#),
            (r#"<svg><use xlink:href="/a.svg#i"/></svg>"#, r#"<svg><use xlink:href="https://c/a.svg#i" /></svg>"#),
            (
                r#"<p style="background:url(&quot;/a.png&quot;)">"#,
                r#"<p style="background:url(&quot;https://c/a.png&quot;)">"#,
            ),
            (r#"<style>p{background:url(/a.png)}</style>"#, r#"<style>p{background:url(https://c/a.png)}</style>"#),
            (
                r#"<script type="application/ld+json">{"logo":"\/a.png","x":"b"}</script>"#,
                r#"<script type="application/ld+json">{"logo":"https://c/a.png","x":"b"}</script>"#,
            ),
            (
                r#"<meta property="og:image" content="/a.png">"#,
                r#"<meta property="og:image" content="https://c/a.png">"#,
            ),
            (r#"<meta name="fingerpost:release" content="">"#, r#"<meta name="fingerpost:release" content="r1">"#),
        ] {
            assert_eq!(moved(html), format!("<x>{want}"), "{html}");
        }
    }

    #[test]
    fn integrity_goes_where_the_element_takes_it() {
        assert_eq!(
            moved(r#"<script src="/a.js"></script>"#),
            r#"<x><script src="https://c/a.js" integrity="sha256-x" crossorigin="anonymous"></script>"#
        );
        assert_eq!(
            moved(r#"<link rel="stylesheet" href="/a.css" crossorigin="use-credentials">"#),
            r#"<x><link rel="stylesheet" href="https://c/a.css" crossorigin="use-credentials" integrity="sha256-x">"#
        );
        assert_eq!(moved(r#"<link rel="icon" href="/a.ico">"#), r#"<x><link rel="icon" href="https://c/a.ico">"#);
    }

    #[test]
    fn what_is_left_alone_passes_byte_for_byte() {
        let html = "<!DOCTYPE html>\n<HTML><body class=x  id='y'>&eacute; <IMG SRC=b.png ><script>if (a<b && \"</p>\") {}</script>";
        assert_eq!(moved(html), html.replace("<body", "<x><body"));
    }

    #[test]
    fn the_head_follows_a_leading_charset() {
        assert_eq!(
            moved("<head><meta charset=utf-8><title>t</title></head>"),
            "<head><meta charset=utf-8><x><title>t</title></head>"
        );
        assert_eq!(moved("<head><title>t</title></head>"), "<head><x><title>t</title></head>");
        assert_eq!(moved("<p>t"), "<x><p>t");
    }
}
