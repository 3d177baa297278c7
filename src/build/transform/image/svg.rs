//! SVGs without what nobody sees: what editors note down, comments, white space.

use std::collections::HashMap;

use svgm_core::config::all_pass_names;
use svgm_core::{Config, Preset, optimize_with_config};

use crate::error::Fault;

/// What may be done to every image. Nothing is rounded, renamed, merged or taken out that a style, a script or another document
/// could refer to.
const PASSES: [&str; 10] = [
    "removeDoctype",
    "removeProcInst",
    "removeComments",
    "removeMetadata",
    "removeEditorData",
    "removeUnusedNamespaces",
    "cleanupAttrs",
    "convertColors",
    "sortAttrs",
    "minifyWhitespace",
];

/// What a document may hold whose meaning is not only in its elements: scripts, whose strings are attributes; styles, which may
/// ask for an attribute's very text; other languages; other documents that it is made with.
const BEYOND: [&str; 6] = ["<script", "<style", "<foreignObject", "<?xml-stylesheet", "javascript:", "xml:space"];

/// The smaller file of the same picture; none if there is no smaller one, or if the image must not be touched.
pub fn optimise_svg(name: &str, bytes: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let fault = |reason: String| Fault::new(format!("`{name}` is no valid SVG, and stays as it is: {reason}"));
    let text = std::str::from_utf8(bytes).map_err(|error| fault(error.to_string()))?;
    if BEYOND.iter().any(|beyond| text.contains(beyond)) || has_handlers(text) {
        return Ok(None);
    }
    let wanted = |name: &str| (name.to_owned(), PASSES.contains(&name));
    let pass_overrides: HashMap<String, bool> = all_pass_names().into_iter().map(wanted).collect();
    let config = Config { preset: Preset::Safe, pass_overrides, ..Config::default() };
    let made = optimize_with_config(text, &config).map_err(|error| fault(error.to_string()))?;
    Ok(Some(made.data.into_bytes()).filter(|smaller| smaller.len() < bytes.len()))
}

/// Whether an attribute may be a script: its name begins with `on`.
fn has_handlers(text: &str) -> bool {
    text.match_indices("on").any(|(at, _)| {
        let rest = text[at..].trim_start_matches(|c: char| c.is_ascii_alphabetic()).trim_start();
        text[..at].ends_with(|c: char| c.is_ascii_whitespace()) && rest.starts_with('=')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smaller(text: &str) -> Option<String> {
        let made = optimise_svg("a.svg", text.as_bytes()).unwrap();
        made.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_nobody_sees_goes() {
        let text = r##"<?xml version="1.0" encoding="UTF-8"?>
            <!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
            <!-- Made with an editor -->
            <svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" viewBox="0 0 9 9">
              <metadata>about</metadata>
              <title>A  picture</title>
              <g id="unused" inkscape:label="Layer 1">
                <path   d="M 0.12345678 0
                           L 9 9" fill="#ff0000"/>
              </g>
              <text x="1" y="2">two <tspan>words</tspan> </text>
            </svg>"##;
        insta::assert_snapshot!(smaller(text).unwrap(), @r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><title>A  picture</title><g id="unused"><path d="M 0.12345678 0 L 9 9" fill="red"/></g><text x="1" y="2">two <tspan>words</tspan> </text></svg>"#);
    }

    #[test]
    fn a_licence_stays() {
        let text = "<svg xmlns=\"http://www.w3.org/2000/svg\">\n\n<!--! CC BY 4.0 --><!-- no licence -->\n<path d=\"M0 0h9\"/></svg>";
        assert!(smaller(text).unwrap().contains("<!--! CC BY 4.0 -->"));
    }

    #[test]
    fn what_has_another_meaning_is_not_touched() {
        for text in [
            "<svg><!-- --><script>a</script></svg>",
            "<svg onload = \"a('  ')\"><!-- --></svg>",
            "<svg><!-- --><style>[fill='#ff0000'] { }</style></svg>",
            "<svg><!-- --><foreignObject/></svg>",
            "<?xml-stylesheet href='a.css'?><svg><!-- --></svg>",
            "<svg><!-- --><a href='javascript:a()'/></svg>",
            "<svg/>",
        ] {
            assert_eq!(smaller(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_svg_is_told() {
        let fault = optimise_svg("a.svg", b"<svg><g></svg>").unwrap_err();
        insta::assert_snapshot!(fault.to_string(), @"`a.svg` is no valid SVG, and stays as it is: mismatched closing tag: expected </g>, found </svg>");
        assert!(optimise_svg("a.svg", b"\xff").is_err());
    }
}
