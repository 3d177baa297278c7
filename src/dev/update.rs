//! The one place that decides what a page does about a change: nothing, new stylesheets and images in their places, or all anew.
//!
//! Modules that can be replaced while they run (`import.meta.hot`) would be decided about here too.

use std::collections::BTreeMap;

use serde::Serialize;

use super::problem::Problem;
use crate::build::Snapshot;
use crate::manifest::{File, Kind};

/// What a page is told. Paths are those of URLs, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Update {
    /// All is as the page has it.
    Fine { build: String },
    Swap {
        build: String,
        styles: Vec<String>,
        images: Vec<String>,
        /// Files of which nobody knows whether the page uses them.
        others: Vec<String>,
    },
    Reload {
        build: String,
        /// The file that made it necessary.
        because: String,
    },
    /// The build failed; what is served is the last one that did not.
    Errors {
        errors: Vec<Problem>,
        /// Whether there is one.
        is_served: bool,
    },
}

/// The page that a tab shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// One of the site's, by the path of its URL, decoded.
    Own(String),
    /// One that another server has made; nobody here knows what it uses, and what it is made of.
    Foreign,
}

/// What is served, and since when each file of it is as it is.
#[derive(Debug, Default)]
pub struct Shown {
    /// Goes up with each build, also from one start of the program to the next.
    pub build: u64,
    pub snapshot: Option<Snapshot>,
    changed: BTreeMap<String, u64>,
}

impl Shown {
    /// Takes the next build; gives the files that it has changed, added or removed.
    pub fn take(&mut self, build: u64, next: Snapshot) -> Vec<String> {
        let before = self.snapshot.as_ref().map(|snapshot| &snapshot.manifest.files);
        let digest = |path: &String| before.and_then(|files| files.get(path)).map(|file| file.digest);
        let new = next.manifest.files.iter().filter(|(path, file)| digest(path) != Some(file.digest));
        let mut changed: Vec<String> = new.map(|(path, _)| path.clone()).collect();
        let gone = before.into_iter().flat_map(BTreeMap::keys);
        changed.extend(gone.filter(|path| !next.manifest.files.contains_key(*path)).cloned());
        self.changed.retain(|path, _| next.manifest.files.contains_key(path));
        for path in &changed {
            self.changed.insert(path.clone(), build);
        }
        self.build = build;
        self.snapshot = Some(next);
        changed
    }

    /// All pages are sent otherwise than before, though they were built the same.
    pub fn renew_pages(&mut self) {
        let files = self.snapshot.iter().flat_map(|snapshot| &snapshot.manifest.files);
        let pages = files.filter(|(_, file)| file.kind == Kind::Page);
        self.changed.extend(pages.map(|(path, _)| (path.clone(), self.build)));
    }

    /// Whether a page was built for that URL.
    pub fn has_page(&self, url: &str) -> bool {
        let files = self.snapshot.as_ref().map(|snapshot| &snapshot.manifest.files);
        let page = files.and_then(|files| page_at(files, url)).filter(|page| *page != NOT_FOUND);
        page.is_some()
    }

    /// What the page does, if it is of the build `since`.
    pub fn update(&self, page: &Page, since: u64) -> Update {
        match page {
            Page::Own(url) => self.update_own(url, since),
            Page::Foreign => self.update_foreign(since),
        }
    }

    /// It is told of all that has changed, and looks for itself.
    fn update_foreign(&self, since: u64) -> Update {
        let build = self.build.to_string();
        let (mut styles, mut images, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let files = self.snapshot.iter().flat_map(|snapshot| &snapshot.manifest.files);
        for (path, file) in files.filter(|(_, file)| file.kind != Kind::Page) {
            if self.changed.get(path).is_some_and(|at| *at > since) {
                let told = match what(file) {
                    What::Style => &mut styles,
                    What::Image => &mut images,
                    What::Else => &mut others,
                };
                told.push(format!("/{path}"));
            }
        }
        match styles.is_empty() && images.is_empty() && others.is_empty() {
            true => Update::Fine { build },
            false => Update::Swap { build, styles, images, others },
        }
    }

    fn update_own(&self, page: &str, since: u64) -> Update {
        let build = self.build.to_string();
        let Some(snapshot) = &self.snapshot else { return Update::Fine { build } };
        let has_changed = |path: &str| self.changed.get(path).is_some_and(|at| *at > since);
        let reload = |because: &str| Update::Reload { build: build.clone(), because: because.to_owned() };
        let Some(page) = page_at(&snapshot.manifest.files, page) else {
            return reload(page);
        };
        if has_changed(page) {
            return reload(page);
        }
        let files = &snapshot.manifest.files;
        let (mut styles, mut images) = (Vec::new(), Vec::new());
        for path in snapshot.uses.get(page).into_iter().flatten().filter(|path| has_changed(path)) {
            match files.get(path).map(what) {
                Some(What::Style) => styles.push(format!("/{path}")),
                Some(What::Image) => images.push(format!("/{path}")),
                Some(What::Else) | None => return reload(path),
            }
        }
        let of_nobody = files.iter().filter(|(path, file)| file.kind == Kind::Public && has_changed(path));
        let others: Vec<String> = of_nobody.map(|(path, _)| format!("/{path}")).collect();
        match styles.is_empty() && images.is_empty() && others.is_empty() {
            true => Update::Fine { build },
            false => Update::Swap { build, styles, images, others },
        }
    }
}

enum What {
    Style,
    Image,
    Else,
}

fn what(file: &File) -> What {
    match file.media_type.as_str() {
        kind if kind.starts_with("text/css") => What::Style,
        kind if kind.starts_with("image/") => What::Image,
        _ => What::Else,
    }
}

const NOT_FOUND: &str = "404.html";

/// The page that is sent for a URL's path: the file of that name, or the one that has a clean URL. Otherwise that of the 404, if
/// there is one.
fn page_at<'a>(files: &'a BTreeMap<String, File>, url: &str) -> Option<&'a str> {
    let name = url.trim_start_matches('/');
    let index =
        if name.is_empty() || name.ends_with('/') { format!("{name}index.html") } else { format!("{name}.html") };
    let found = [name, index.as_str(), NOT_FOUND].into_iter().find_map(|name| files.get_key_value(name));
    found.map(|(path, _)| path.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, Mode};
    use bytes::Bytes;
    use std::collections::BTreeSet;

    fn snapshot(files: &[(&str, &str)]) -> Snapshot {
        let mut manifest = Manifest::new(Mode::Development, "assets");
        for (path, text) in files {
            let kind = match *path {
                path if path.ends_with(".html") => Kind::Page,
                path if path.starts_with("assets/") => Kind::Asset,
                _ => Kind::Public,
            };
            manifest.files.insert((*path).to_owned(), File::new(kind, path, text.as_bytes()));
        }
        let uses = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        Snapshot {
            manifest,
            files: files.iter().map(|(path, text)| ((*path).to_owned(), Bytes::from((*text).to_owned()))).collect(),
            uses: BTreeMap::from([
                ("index.html".to_owned(), uses(&["assets/a.css", "assets/a.js", "assets/a.png"])),
                ("about.html".to_owned(), uses(&["assets/b.css"])),
            ]),
        }
    }

    const FIRST: [(&str, &str); 7] = [
        ("index.html", "i"),
        ("about.html", "i"),
        ("assets/a.css", "1"),
        ("assets/b.css", "1"),
        ("assets/a.js", "1"),
        ("assets/a.png", "1"),
        ("logo.svg", "1"),
    ];

    fn after(path: &str, text: &str) -> Shown {
        let mut shown = Shown::default();
        shown.take(1, snapshot(&FIRST));
        let mut files = FIRST.to_vec();
        files.retain(|(name, _)| *name != path);
        if !text.is_empty() {
            files.push((path, text));
        }
        assert_eq!(shown.take(2, snapshot(&files)), [path]);
        shown
    }

    fn own(url: &str) -> Page {
        Page::Own(url.to_owned())
    }

    fn told(shown: &Shown, page: &str) -> String {
        what_is_told(&shown.update(&own(page), 1))
    }

    fn what_is_told(update: &Update) -> String {
        match update {
            Update::Fine { .. } => "fine".to_owned(),
            Update::Reload { because, .. } => format!("reload for {because}"),
            Update::Swap { styles, images, others, .. } => format!("swap {styles:?} {images:?} {others:?}"),
            Update::Errors { .. } => "errors".to_owned(),
        }
    }

    #[test]
    fn only_pages_that_use_a_file_hear_of_it() {
        for (path, text, index, about) in [
            ("assets/a.css", "2", "swap [\"/assets/a.css\"] [] []", "fine"),
            ("assets/b.css", "2", "fine", "swap [\"/assets/b.css\"] [] []"),
            ("assets/a.png", "2", "swap [] [\"/assets/a.png\"] []", "fine"),
            ("assets/a.js", "2", "reload for assets/a.js", "fine"),
            ("assets/a.js", "", "reload for assets/a.js", "fine"),
            ("about.html", "2", "fine", "reload for about.html"),
            ("logo.svg", "2", "swap [] [] [\"/logo.svg\"]", "swap [] [] [\"/logo.svg\"]"),
        ] {
            let shown = after(path, text);
            assert_eq!((told(&shown, "/").as_str(), told(&shown, "/about").as_str()), (index, about), "{path}");
        }
    }

    #[test]
    fn pages_that_are_bound_to_another_environment_load_anew() {
        let mut shown = Shown::default();
        shown.take(1, snapshot(&FIRST));
        assert!(shown.take(2, snapshot(&FIRST)).is_empty());
        assert_eq!(told(&shown, "/"), "fine");
        shown.renew_pages();
        assert_eq!(told(&shown, "/"), "reload for index.html");
        assert_eq!(shown.update(&own("/"), 2), Update::Fine { build: "2".to_owned() });
    }

    #[test]
    fn a_page_of_another_server_hears_of_all_that_it_may_use() {
        for (path, text, want) in [
            ("assets/b.css", "2", "swap [\"/assets/b.css\"] [] []"),
            ("assets/a.png", "2", "swap [] [\"/assets/a.png\"] []"),
            ("assets/a.js", "2", "swap [] [] [\"/assets/a.js\"]"),
            ("logo.svg", "2", "swap [] [\"/logo.svg\"] []"),
            // The site's own pages are none of its business, and what is gone it has to do without.
            ("about.html", "2", "fine"),
            ("assets/a.js", "", "fine"),
        ] {
            let shown = after(path, text);
            assert_eq!(what_is_told(&shown.update(&Page::Foreign, 1)), want, "{path}");
            assert_eq!(shown.update(&Page::Foreign, 2), Update::Fine { build: "2".to_owned() });
        }
    }

    #[test]
    fn a_page_that_comes_late_hears_all_that_it_missed() {
        let mut shown = after("assets/a.css", "2");
        let mut files = FIRST.to_vec();
        files[2].1 = "2";
        files[5].1 = "3";
        shown.take(3, snapshot(&files));
        assert_eq!(told(&shown, "/index.html"), "swap [\"/assets/a.css\"] [\"/assets/a.png\"] []");
        assert_eq!(
            shown.update(&own("/"), 2),
            Update::Swap {
                build: "3".to_owned(),
                styles: Vec::new(),
                images: vec!["/assets/a.png".to_owned()],
                others: Vec::new()
            }
        );
        assert_eq!(shown.update(&own("/"), 3), Update::Fine { build: "3".to_owned() });
        assert_eq!(told(&shown, "/nowhere"), "reload for /nowhere", "there may be a page by now");
    }
}
