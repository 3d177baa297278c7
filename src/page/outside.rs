//! What a site's stylesheets load from other origins. Any page may come to load any of them, at first or later.

use std::collections::BTreeSet;

use super::survey::origin;
use crate::html;

/// Origins that stylesheets name, as source expressions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside(BTreeSet<String>);

impl Outside {
    /// Of all these stylesheets' texts.
    pub fn of<'a>(sheets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut origins = BTreeSet::new();
        for sheet in sheets.into_iter().filter(|sheet| sheet.contains("//")) {
            html::edit_css(sheet, |url| {
                origins.extend(origin(url));
                None
            });
        }
        Outside(origins)
    }

    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_and_fonts_of_others() {
        let outside = Outside::of([
            "/* https://c.example */ @import url(https://fonts.example/css?a); a{b:url(../x.png)}",
            "@font-face{src:url('//f.example/a.woff2')} @namespace svg url(http://www.w3.org/2000/svg); a{b:url(data:,//x)}",
        ]);
        assert_eq!(outside.sources().collect::<Vec<_>>(), ["f.example", "https://fonts.example"]);
    }
}
