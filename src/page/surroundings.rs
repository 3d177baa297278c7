//! What a document's headers follow from beside the document: the same for all of a release, computed once.

use std::collections::BTreeSet;

use super::survey::origin;
use crate::html;
use crate::manifest::{File, Kind, Manifest};

/// A release as its documents' policies see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Origins that stylesheets name, as source expressions. Any page may come to load any sheet, at first or later.
    outside: BTreeSet<String>,
    /// Whether no script is loaded by a name that nothing vouches for: one from `public/`, or kept as it was for a package that
    /// finds it by itself.
    vouches_for_scripts: bool,
}

impl Surroundings {
    /// Those of a release with these stylesheets, given by their text.
    pub fn of<'a>(manifest: &Manifest, sheets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut outside = BTreeSet::new();
        for sheet in sheets.into_iter().filter(|sheet| sheet.contains("//")) {
            html::edit_css(sheet, |url| {
                outside.extend(origin(url));
                None
            });
        }
        Surroundings { outside, vouches_for_scripts: vouches_for_scripts(manifest) }
    }

    pub(super) fn outside(&self) -> impl Iterator<Item = &str> {
        self.outside.iter().map(String::as_str)
    }

    pub(super) fn vouches_for_scripts(&self) -> bool {
        self.vouches_for_scripts
    }
}

fn vouches_for_scripts(manifest: &Manifest) -> bool {
    let chunks = manifest.chunks.values().map(String::as_str);
    let known: BTreeSet<&str> = chunks.chain(manifest.entries.values().map(|entry| entry.file.as_str())).collect();
    // A service worker is no script to that policy.
    let is_script = |file: &File| file.media_type.starts_with("text/javascript") && !file.is_worker();
    let mut scripts = manifest.files.iter().filter(|(_, file)| is_script(file));
    scripts.all(|(path, file)| file.kind == Kind::Asset && known.contains(path.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::LogicalPath;
    use crate::manifest::{Entry, Mode};

    fn manifest() -> Manifest {
        Manifest::new(Mode::Production, "assets")
    }

    #[test]
    fn sheets_and_fonts_of_others() {
        let surroundings = Surroundings::of(
            &manifest(),
            [
                "/* https://c.example */ @import url(https://fonts.example/css?a); a{b:url(../x.png)}",
                "@font-face{src:url('//f.example/a.woff2')} @namespace svg url(http://www.w3.org/2000/svg); a{b:url(data:,//x)}",
            ],
        );
        assert_eq!(surroundings.outside().collect::<Vec<_>>(), ["f.example", "https://fonts.example"]);
    }

    #[test]
    fn scripts_are_vouched_for_where_all_have_an_entry() {
        let mut manifest = manifest();
        let add = |manifest: &mut Manifest, path: &str, kind| {
            let file = File::new(kind, path, path.as_bytes());
            manifest.files.insert(path.to_owned(), file);
        };
        let vouched = |manifest: &Manifest| Surroundings::of(manifest, []).vouches_for_scripts();
        assert!(vouched(&manifest));
        add(&mut manifest, "assets/a-1.js", Kind::Asset);
        assert!(!vouched(&manifest));
        manifest.entries.insert(LogicalPath::new("a.js").unwrap(), Entry::new("assets/a-1.js".to_owned()));
        assert!(vouched(&manifest));
        add(&mut manifest, "worker.js", Kind::Public);
        assert!(!vouched(&manifest));
    }
}
