//! The site as it would be served without a build that joins anything: each source is a file, and pages load them one by one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::report::Missing;
use crate::asset::media_type;
use crate::build::{self, Options};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fs;
use crate::html::{self, Editor, Link, Place};
use crate::manifest::{self, File, Kind, Manifest, Mode};
use crate::progress::Silent;

/// Modules are asked for by these names, and lie under those.
const ENDINGS: [(&str, &str); 6] = [("", ""), (".js", ".ts"), (".mjs", ".mts"), ("", ".ts"), ("", ".js"), ("", ".mjs")];

/// What every build tool puts in place of this, as a browser can have it.
const ENVIRONMENT: &str =
    "import.meta.env = { MODE: \"production\", PROD: true, DEV: false, SSR: false, BASE_URL: \"/\" };\n";

/// Writes the output folder of such a site, for our server.
pub fn write(config: &Config, out: &Path) -> Result<(), Missing> {
    let built = out.with_extension("built");
    let options = Options { out: built.clone(), mode: Mode::Development, compress: false, threads: 0 };
    let development = build::build(config, &options, &Silent)?.manifest;
    let mut site = Unbundled { config, out, manifest: Manifest::new(Mode::Development, config.prefix.clone()) };
    site.sources(&config.assets.clone())?;
    for (path, file) in &development.files {
        let bytes = fs::read(&built.join(path))?;
        if path.ends_with(".html") {
            let page = fs::to_text(bytes, path)?;
            let page = html::edit(path, &page, &mut Separate { config, built: &development })?;
            site.add(path, Kind::Page, page.as_bytes())?;
        } else if file.kind != Kind::Asset {
            site.add(path, file.kind, &bytes)?;
        }
    }
    for entry in development.entries.values().filter(|entry| entry.module) {
        let source = development.files.get(&entry.file).and_then(|file| file.source.as_ref());
        if let Some(source) = source {
            site.modules(&config.root.join(source))?;
        }
    }
    site.manifest.release = development.release.clone();
    fs::write(&out.join(manifest::PATH), site.manifest.to_json().as_bytes())?;
    Ok(())
}

struct Unbundled<'c> {
    config: &'c Config,
    out: &'c Path,
    manifest: Manifest,
}

impl Unbundled<'_> {
    /// All below the assets folder, where it lies there.
    fn sources(&mut self, folder: &Path) -> Result<(), Missing> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                // It has its own place, at the site's root.
                if path != self.config.assets.join("public") {
                    self.sources(&path)?;
                }
            } else if path.is_file() && !is_script(&path) {
                let url = url_of(self.config, &path);
                self.add(&url, Kind::Asset, &fs::read(&path)?)?;
            } else if path.is_file() {
                self.script(&path, None)?;
            }
        }
        Ok(())
    }

    /// A module with all that it imports, or what a browser would not find.
    fn modules(&mut self, entry: &Path) -> Result<(), Missing> {
        let (mut left, mut seen) = (vec![entry.to_owned()], BTreeSet::new());
        while let Some(path) = left.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let name = fs::display_name(&self.config.root, &path);
            let syntax = build::syntax(&path, &fs::read_text(&path, &name)?);
            if !syntax.globs.is_empty() {
                return Err(needs_bundler(&name, "import.meta.glob"));
            }
            for specifier in syntax.imports {
                if specifier.contains("://") || self.config.is_external(&specifier) {
                    continue;
                }
                let found = resolve(&path, &specifier).filter(|found| fs::within(&self.config.root, found));
                let found = found.ok_or_else(|| needs_bundler(&name, &specifier))?;
                if !is_script(&found) {
                    // `new URL(…)` names any file; an import of one needs a bundler.
                    if fs::read_text(&path, &name)?.contains(&format!("import \"{specifier}\"")) {
                        return Err(needs_bundler(&name, &specifier));
                    }
                    continue;
                }
                let asked = fs::normalize(&path.with_file_name(&specifier));
                self.script(&found, Some(&asked))?;
                left.push(found);
            }
        }
        Ok(())
    }

    /// A script where it lies, and also where it is asked for if that is elsewhere.
    fn script(&mut self, path: &Path, asked: Option<&Path>) -> Result<(), Missing> {
        let name = fs::display_name(&self.config.root, path);
        if name.ends_with(".d.ts") {
            return Ok(());
        }
        let text = fs::read_text(path, &name)?;
        let mut code = build::without_types(&name, &text).map_err(Error::from)?;
        if code.contains("import.meta.env") {
            code.insert_str(0, ENVIRONMENT);
        }
        let urls: BTreeSet<String> = [path, asked.unwrap_or(path)].map(|path| url_of(self.config, path)).into();
        for url in urls {
            self.add(&url, Kind::Asset, code.as_bytes())?;
            if let Some(file) = self.manifest.files.get_mut(&url) {
                file.media_type = media_type("x.js");
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, kind: Kind, bytes: &[u8]) -> Result<()> {
        fs::write(&self.out.join(path), bytes)?;
        self.manifest.files.insert(path.to_owned(), File::new(kind, path, bytes));
        Ok(())
    }
}

fn resolve(from: &Path, specifier: &str) -> Option<PathBuf> {
    if !specifier.starts_with("./") && !specifier.starts_with("../") {
        return None;
    }
    let asked = fs::normalize(&from.with_file_name(specifier)).to_string_lossy().into_owned();
    let candidates = ENDINGS
        .iter()
        .filter_map(|(asked_as, lies_as)| Some(PathBuf::from(format!("{}{lies_as}", asked.strip_suffix(asked_as)?))));
    candidates.into_iter().find(|path| path.is_file())
}

fn needs_bundler(name: &str, specifier: &str) -> Missing {
    Missing {
        reason: format!("`{name}` uses `{specifier}`, which no browser resolves without a bundler"),
        remedy: "nothing is wrong: this site can't be served unbundled".to_owned(),
    }
}

fn is_script(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("js" | "mjs" | "ts" | "mts"))
}

/// Where a source is served: below the prefix as it lies below the assets folder, and what lies elsewhere apart from these.
fn url_of(config: &Config, path: &Path) -> String {
    match path.strip_prefix(&config.assets) {
        Ok(below) => format!("{}/{}", config.prefix, below.display()),
        Err(_) => format!("{}/_root/{}", config.prefix, fs::display_name(&config.root, path)),
    }
}

/// Points a development build's pages at the sources.
struct Separate<'c> {
    config: &'c Config,
    built: &'c Manifest,
}

impl Separate<'_> {
    /// The sources of the file at this URL, in their order; none if it is no file of the build.
    fn sources(&self, url: &str) -> Option<Vec<PathBuf>> {
        let path = url.strip_prefix('/')?;
        let file = self.built.files.get(path).filter(|file| file.kind == Kind::Asset)?;
        let bundle = self.config.bundles.iter().find(|bundle| self.built.resolve(bundle.name.as_str()) == Some(path));
        Some(match (bundle, &file.source) {
            (Some(bundle), _) => bundle.inputs.clone(),
            (None, Some(source)) => vec![self.config.root.join(source)],
            (None, None) => Vec::new(),
        })
    }
}

impl Editor for Separate<'_> {
    fn url(&mut self, _: Place, url: &str) -> Option<Link> {
        // What the bundler put together is not there any more; modules find each other.
        let last = self.sources(url)?.pop();
        Some(last.map_or_else(|| "data:,".to_owned(), |path| format!("/{}", url_of(self.config, &path))).into())
    }

    fn before(&mut self, place: Place, url: &str) -> Option<String> {
        let sources = self.sources(url)?;
        let (_, others) = sources.split_last()?;
        let element = |path: &PathBuf| {
            let url = url_of(self.config, path);
            match place {
                Place::Stylesheet => format!("<link rel=\"stylesheet\" href=\"/{url}\">"),
                Place::Script { module: true } => format!("<script type=\"module\" src=\"/{url}\"></script>"),
                Place::Script { module: false } => format!("<script src=\"/{url}\"></script>"),
                _ => String::new(),
            }
        };
        let text: String = others.iter().map(element).collect();
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<(), Missing>) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            fs::write(&folder.path().join("site").join(path), text.as_bytes()).unwrap();
        }
        let config = Config::load(&folder.path().join("site"), None).unwrap();
        let written = write(&config, &folder.path().join("out"));
        (folder, written)
    }

    #[test]
    fn pages_load_each_source_by_itself() {
        let (folder, written) = site(&[
            ("fingerpost.toml", "[[bundle]]\nname = \"all.css\"\ninputs = [\"a.css\", \"b.css\"]\n"),
            ("assets/a.css", "@import 'c.css';"),
            ("assets/b.css", "b { color: red }"),
            ("assets/c.css", "c { color: red }"),
            (
                "assets/app.ts",
                "import { x } from './lib/x.js';\nimport type { T } from './t.ts';\nx(import.meta.env.MODE as string as T);",
            ),
            ("assets/lib/x.ts", "export const x = (text: string): void => console.log(text);"),
            ("assets/t.ts", "export type T = string;"),
            (
                "templates/index.html",
                "<!doctype html>{{ asset_tags('app.ts') }}<link rel=stylesheet href=\"{{ asset_url('all.css') }}\">",
            ),
        ]);
        written.unwrap();
        let read = |path: &str| std::fs::read_to_string(folder.path().join("out").join(path)).unwrap();
        let page = read("index.html");
        for want in ["href=\"/assets/a.css\"", "/assets/b.css", "src=\"/assets/app.ts\""] {
            assert!(page.contains(want), "{want}: {page}");
        }
        assert_eq!(read("assets/a.css"), "@import 'c.css';");
        let entry = read("assets/app.ts");
        assert!(
            entry.starts_with("import.meta.env = ") && entry.contains("./lib/x.js") && !entry.contains("as T"),
            "{entry}"
        );
        // Asked for as it is written, wherever it lies.
        assert!(!read("assets/lib/x.js").contains("string"));
        let manifest = Manifest::load(&folder.path().join("out")).unwrap();
        assert!(manifest.files["assets/app.ts"].media_type.starts_with("text/javascript"));
    }

    #[test]
    fn what_needs_a_bundler_is_said() {
        let (_folder, written) = site(&[
            ("assets/app.js", "import { x } from 'package';\nx();"),
            ("node_modules/package/package.json", "{\"name\":\"package\",\"main\":\"index.js\"}"),
            ("node_modules/package/index.js", "export const x = () => {};"),
            ("templates/index.html", "{{ asset_tags('app.js') }}"),
        ]);
        let missing = written.expect_err("a bare import");
        assert!(missing.reason.contains("`assets/app.js` uses `package`"), "{missing:?}");
    }
}
