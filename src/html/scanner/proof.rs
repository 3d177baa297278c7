//! What comes out of a scanner is what comes out of the parser, whatever the page and however it is cut.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;

use super::edit_part;
use crate::html::{Editor, Fallback, Link, Place, Stream, parser};

/// Moves whatever holds `/a`, inserts something before modules, and edits scripts of one kind.
#[derive(Default)]
struct Moves {
    base: String,
}

impl Editor for Moves {
    fn url(&mut self, place: Place, url: &str) -> Option<Link> {
        let integrity = (!url.contains('?')).then(|| "sha256-x".to_owned());
        let url = format!("{}https://c\"&é{url}{place:?}", self.base);
        let is_loaded = matches!(place, Place::Script { module: false } | Place::Stylesheet);
        let copy =
            || Fallback { url: "/é&\"".to_owned(), integrity: "sha256-y".to_owned(), global: Some("A".to_owned()) };
        let fallback = is_loaded.then(copy);
        url.contains("/a").then_some(Link { url, integrity, other_origin: true, fallback })
    }

    fn before(&mut self, place: Place, url: &str) -> Option<String> {
        matches!(place, Place::Script { module: true } | Place::Stylesheet).then(|| format!("<x y=\"{url}\">é"))
    }

    fn base(&mut self, href: &str) {
        self.base.push_str(href);
    }

    fn meta(&mut self, name: &str) -> Option<String> {
        name.starts_with("fp:").then(|| "r\"1".to_owned())
    }

    fn reads_script(&self, kind: &str) -> bool {
        kind == "module"
    }

    fn script(&mut self, kind: &str, text: &str) -> Option<String> {
        (kind == "module").then(|| text.replace("/a", "/A"))
    }
}

fn scanned(charset: Option<&str>, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = Stream::new(charset, Box::new(Moves::default())).unwrap();
    let mut out: Vec<u8> = pieces.iter().flat_map(|piece| stream.write(Bytes::copy_from_slice(piece))).collect();
    out.extend(stream.end());
    out
}

fn parsed(charset: Option<&str>, page: &[u8]) -> Vec<u8> {
    let mut stream = Stream::parsed(charset, Box::new(Moves::default())).unwrap();
    [stream.write(Bytes::copy_from_slice(page)), stream.end()].concat()
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Pieces of pages, such that one in another is seldom harmless.
const SOUP: &[&str] = &[
    "<",
    ">",
    "/",
    "=",
    "\"",
    "'",
    " ",
    "\n",
    "\t",
    "\0",
    "-",
    "--",
    "!",
    "?",
    "]",
    "&",
    "a",
    "x",
    "é",
    "\u{fffd}",
    "<a href=/a>",
    "<a href='/a b'>",
    "<a HREF=\"/a?x&amp;y\" href=/b>",
    "<IMG src=/a srcset='/a 1x, /b 2x'",
    "<img  src = /a  alt>",
    "<img src=/a/>",
    "<img src=\"/a\"/>",
    "<img\nsrc=/a\t/>",
    "<img src=>",
    "<img src=x=/a>",
    "<img \"=/a src='/a'x>",
    "<img src=\"/a\" srcset=\"/a 1x, /b 2x\" alt=\"\">",
    "<video poster=\"/a\" class=\"x\" src=\"/a\" style=\"background:url('/a')\">",
    "<link rel=\"stylesheet\" href=\"/a\">",
    "<script type=\"module\" integrity=\"x\" src=\"/a\">",
    "<a class=\"x\"  href=\"/a\">",
    "<div style='background:url(/a)'>",
    "<p STYLE=\"x:url(&quot;/a&quot;)\">",
    "<div class=\"a b\" data-x='>'>",
    "</div>",
    "</a x=\">\">",
    "<br/>",
    "<base href=/b/>",
    "<base href='&lt;'>",
    "<form action=/a method=post>",
    "<video src=/a poster=/a>",
    "<object data=/a>",
    "<iframe src=/a>",
    "</iframe>",
    "<input type=image src=/a>",
    "<my-a href=/a>",
    "<link rel=stylesheet href=/a>",
    "<link rel=\"preload modulepreload\" as=script href=/a integrity=y>",
    "<link rel=preload as=image href=/a imagesrcset='/a 1x'>",
    "<link rel=stylesheet href=/a?b integrity=x Integrity=y crossorigin>",
    "<meta property=og:image content=/a>",
    "<meta name=fp:x content=1>",
    "<meta name='fp:y'>",
    "<meta charset=utf-8>",
    "<meta charset=latin1>",
    "<meta charset=shift_jis>",
    "<meta http-equiv=Content-Type content='text/html; charset=utf-8'>",
    "<meta http-equiv=content-type content='text/html;x=y;charset=iso-8859-2'>",
    "<meta charset=utf-16>",
    "<script>",
    "<script src=/a>",
    "<script type=module src=/a>",
    "<script type=module>",
    "<script type=application/ld+json>",
    "<SCRIPT type=importmap>",
    "</script>",
    "</SCRIPT\n>",
    "</script",
    "</scr",
    "<script/>",
    "<!--",
    "-->",
    "--!>",
    "<!-->",
    "<!--->",
    "<!---!>",
    "<!doctype html>",
    "<!DOCTYPE x '>'>",
    "<![CDATA[",
    "]]>",
    "<!x>",
    "<?php \">\" ?>",
    "</>",
    "</ x>",
    "<>",
    "< a>",
    "{\"x\": \"/a\", \"/a\": 1}",
    "<style>",
    "<style media=x=>",
    "a{b:url(/a)}",
    "</style>",
    "</style/>",
    "<title>",
    "</title>",
    "<textarea>",
    "</textarea >",
    "<xmp>",
    "</xmp>",
    "<noembed>",
    "</noembed>",
    "<noframes>",
    "</noframes>",
    "<noscript>",
    "</noscript>",
    "<plaintext>",
    "<select>",
    "</select>",
    "<table>",
    "<template>",
    "</template>",
    "<frameset>",
    "<svg>",
    "<svg/>",
    "</svg>",
    "<math>",
    "</math>",
    "<foreignObject>",
    "<foreignobject/>",
    "</foreignObject>",
    "<desc>",
    "</desc>",
    "<mi>",
    "</mi>",
    "<annotation-xml encoding=TEXT/html>",
    "<annotation-xml>",
    "</annotation-xml>",
    "<font>",
    "<font color=x>",
    "</p>",
    "</br>",
    "<b>",
    "<use xlink:href=/a#b />",
    "<image href=/a>",
    "<feImage href=/a>",
    "<sub>",
    "<a",
    "<p",
    "&lt;",
    "/a",
];

fn soup(most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(select(SOUP), 0..most).prop_map(|parts| parts.concat())
}

const CHARSETS: [Option<&str>; 4] = [Some("utf-8"), None, Some("windows-1252"), Some("iso-8859-5")];

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn it_is_read_as_the_parser_reads_it(page in soup(14), charset in select(&CHARSETS[..])) {
        let page = page.as_bytes();
        let want = shown(&parsed(charset, page));
        prop_assert_eq!(&shown(&scanned(charset, &[page])), &want);
        for at in 0..=page.len() {
            let (first, second) = page.split_at(at);
            prop_assert_eq!(&shown(&scanned(charset, &[first, second])), &want, "cut at {}", at);
        }
        let bytes: Vec<&[u8]> = page.chunks(1).collect();
        prop_assert_eq!(&shown(&scanned(charset, &bytes)), &want, "byte by byte");
    }

    #[test]
    fn bytes_that_are_no_text_are_read_as_the_parser_reads_them(
        parts in proptest::collection::vec(prop_oneof![
            4 => select(SOUP).prop_map(|part| part.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..4),
        ], 0..14),
        size in 1_usize..20,
        charset in select(&[Some("utf-8"), None, Some("windows-1252"), Some("x-user-defined")][..]),
    ) {
        let page = parts.concat();
        let pieces: Vec<&[u8]> = page.chunks(size).collect();
        prop_assert_eq!(shown(&scanned(charset, &pieces)), shown(&parsed(charset, &page)));
    }

    #[test]
    fn a_part_is_read_as_the_parser_reads_it(page in soup(14)) {
        let want = parser::edit(&page, &mut Moves::default()).unwrap();
        prop_assert_eq!(edit_part(&page, &mut Moves::default()).unwrap(), want);
    }
}

#[test]
fn each_piece_is_passed_on_as_far_as_it_can_be() {
    let mut stream = Stream::new(Some("utf-8"), Box::new(Moves::default())).unwrap();
    for (piece, passed) in [
        ("<p>text", "<p>text"),
        ("<!-- a com", "<!-- a com"),
        ("ment --><a href", "ment -->"),
        ("=/b>link<", "<a href=/b>link"),
        ("/a><script>let a = '", "</a><script>let a = '"),
        ("</scr", ""),
        ("ipx>';", "</scripx>';"),
        ("</script><style>a{b:", "</script><style>"),
        ("url(/b)}</style", ""),
        ("><title>&lt;", "a{b:url(/b)}</style><title>&lt;"),
        ("<img", "<img"),
    ] {
        assert_eq!(stream.write(Bytes::from_static(piece.as_bytes())), passed, "{piece}");
    }
    assert_eq!(stream.end(), "");
}

#[test]
fn what_is_too_long_to_be_held_passes_as_it_is() {
    for start in ["<a href=/a x=\"", "<style>", "<script type=importmap>"] {
        let mut stream = Stream::new(None, Box::new(Moves::default())).unwrap();
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let mut out = stream.write(Bytes::from_static(start.as_bytes())).to_vec();
        (0..10).for_each(|_| out.extend(stream.write(piece.clone())));
        assert!(out.len() >= 10 << 20, "{start}");
        let end = "</style></script>\"><img src=/b>";
        out.extend(stream.write(Bytes::from_static(end.as_bytes())));
        out.extend(stream.end());
        assert_eq!(out.len(), start.len() + (10 << 20) + end.len(), "{start}");
    }
}

#[test]
fn pages_in_other_encodings_are_edited_too() {
    for (charset, bytes) in
        [(Some("shift_jis"), &b"\x83\x5c<a href=/a>"[..]), (None, b"<meta charset=gbk>\x81\x5c<a href=/a>")]
    {
        let out = scanned(charset, &[bytes]);
        assert!(shown(&out).contains("<a href=\"https://c"), "{}", shown(&out));
        assert_eq!(out, parsed(charset, bytes));
    }
    assert!(Stream::new(Some("utf-16"), Box::new(Moves::default())).is_none());
}

#[test]
fn what_is_rare_is_read_as_the_parser_reads_it() {
    for page in [
        "<script src=/a></script><script src=/a></SCRIPT ><p></p>",
        "<script><!--<script></script><img src=/a></script><img src=/a>--></script><img src=/a>",
        "<script><!--<script>--><img src=/a></script><img src=/a>",
        "<script><!--<script></script><script></script><img src=/a></script><img src=/a>",
        "<math></br><style>a{b:url(/a)}<img src=/a></style><img src=/a>",
        "<svg></p><title><img src=/a></title><svg><title><img src=/a></title>",
        "<style media=>a{b:url(/a)}<img src=/a></style><textarea x= ><img src=/a></textarea><img src=/a>",
        "<math><annotation-xml encoding=TEXT/html><title><img src=/a></title></annotation-xml><title><img src=/a>",
        "<svg><foreignObject><style>a{b:url(/a)}</style></foreignObject><style>a{b:url(/a)}<img src=/a></style></svg><img src=/a>",
        "<svg><font size=1><style>a{b:url(/a)}<img src=/a></style><svg><font><![CDATA[<img src=/a>]]>",
    ] {
        let want = shown(&parsed(Some("utf-8"), page.as_bytes()));
        for at in 0..=page.len() {
            let (first, second) = page.as_bytes().split_at(at);
            assert_eq!(shown(&scanned(Some("utf-8"), &[first, second])), want, "{page} cut at {at}");
        }
    }
}
