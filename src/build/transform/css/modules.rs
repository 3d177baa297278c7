//! CSS modules: a `*.module.css` whose names are its own, and what its class names have become.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lightningcss::css_modules::{Config, CssModuleExport, CssModuleExports, CssModuleReference, Pattern, Segment};
use lightningcss::error::{Error as CssError, PrinterErrorKind};
use lightningcss::printer::PrinterOptions;
use lightningcss::stylesheet::StyleSheet;
use parcel_sourcemap::SourceMap;

use super::map::source_name;
use super::{Compiler, invalid, options};
use crate::error::Fault;
use crate::fingerprint::Digest;
use crate::fs;

/// A compiled CSS module.
#[derive(Debug)]
pub struct Module {
    /// Plain CSS, its URLs as they were written, with its source map in a comment.
    pub code: String,
    /// What each name has become: a name, or several with spaces between them where it `composes` others.
    pub exports: BTreeMap<String, String>,
    /// The modules that it composes from: their rules have to come before its own.
    pub dependencies: BTreeSet<PathBuf>,
}

/// Whether the names in a stylesheet are its own.
pub fn is_module(path: &Path) -> bool {
    stem(path).is_some()
}

/// The name of a module's file without its extensions.
fn stem(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    [".module.css", ".module.scss", ".module.sass"].iter().find_map(|suffix| name.strip_suffix(suffix))
}

impl Compiler {
    /// Compiles one CSS module, once for each compiler.
    pub fn module(&self, path: &Path) -> Result<&Module, Vec<Fault>> {
        self.module_within(path, &[])
    }

    /// `trail` holds the modules that compose from this one.
    fn module_within(&self, path: &Path, trail: &[&Path]) -> Result<&Module, Vec<Fault>> {
        if let Some(module) = self.modules.get(path) {
            return Ok(module);
        }
        let name = fs::display_name(&self.root, path);
        let text = self.css(path)?;
        let mut options = options(name.clone());
        let scope = scope(path, &name);
        let segments = [Segment::Literal(scope.clone().into()), Segment::Local].into_iter().collect();
        options.css_modules = Some(Config { pattern: Pattern { segments }, ..Config::default() });
        let stylesheet = StyleSheet::parse(text, options).map_err(|error| vec![invalid(&name, text, &error)])?;
        let mut map = SourceMap::new("/");
        let source = map.add_source(&source_name(path.file_name().map(Path::new).unwrap_or(path)));
        let unmapped = |error: &dyn std::fmt::Display| vec![Fault::new(format!("could not map `{name}`: {error}"))];
        map.set_source_content(source as usize, text).map_err(|error| unmapped(&error))?;
        let printer = PrinterOptions { source_map: Some(&mut map), ..PrinterOptions::default() };
        let printed = stylesheet.to_css(printer).map_err(|error| vec![unprintable(&name, text, &error)])?;
        let map = map.to_json(None).map_err(|error| unmapped(&error))?;

        let exports = printed.exports.unwrap_or_default();
        let trail = [trail, &[path]].concat();
        let mut composed = Composed { compiler: self, path, text, scope: &scope, others: BTreeMap::new() };
        composed.load(&exports, &trail)?;
        let module = Module {
            code: format!(
                "{}/*# sourceMappingURL=data:application/json;base64,{} */\n",
                printed.code,
                STANDARD.encode(map)
            ),
            exports: composed.class_lists(&exports)?,
            dependencies: composed.others.into_values().map(|(path, _)| path).collect(),
        };
        Ok(self.modules.insert(path.to_owned(), Box::new(module)))
    }
}

/// As [`invalid`]; lightningcss says of `composes` the contrary of what it means.
fn unprintable(name: &str, text: &str, error: &CssError<PrinterErrorKind>) -> Fault {
    match &error.kind {
        PrinterErrorKind::InvalidComposesSelector | PrinterErrorKind::InvalidComposesNesting => {
            let message = "`composes` can stand in the rule of one class only, outside of other rules";
            invalid(name, text, &CssError { kind: message, loc: error.loc.clone() })
        }
        _ => invalid(name, text, error),
    }
}

/// What each name of a module begins with: no other file's do, and it is the same wherever the site lies. The local name follows,
/// since the names of a grid's areas and lines go by their endings (`a-start`, `a-end`).
fn scope(path: &Path, name: &str) -> String {
    let digest = Digest::of(name.as_bytes()).to_string();
    let stem = stem(path).unwrap_or_default().replace(|c: char| !c.is_alphanumeric(), "-");
    format!("{stem}_{}_", &digest[..8])
}

/// What one module composes from others.
struct Composed<'a> {
    compiler: &'a Compiler,
    path: &'a Path,
    text: &'a str,
    scope: &'a str,
    /// By specifier.
    others: BTreeMap<String, (PathBuf, &'a Module)>,
}

impl<'a> Composed<'a> {
    fn name(&self) -> String {
        fs::display_name(&self.compiler.root, self.path)
    }

    /// Points at the first place of a word in the module.
    fn fault(&self, message: String, word: &str) -> Fault {
        match self.text.find(word) {
            Some(at) => Fault::new(message).at(self.name(), self.text, at, word.len()),
            None => Fault::new(message),
        }
    }

    fn load(&mut self, exports: &CssModuleExports, trail: &[&Path]) -> Result<(), Vec<Fault>> {
        let specifiers: BTreeSet<&String> = exports
            .values()
            .flat_map(|export| &export.composes)
            .filter_map(|reference| match reference {
                CssModuleReference::Dependency { specifier, .. } => Some(specifier),
                _ => None,
            })
            .collect();
        for specifier in specifiers {
            let file = self.compiler.locate(specifier, self.path).map_err(|fault| {
                let at = self.text.find(specifier.as_str());
                vec![at.map_or(fault.clone(), |at| fault.at(self.name(), self.text, at, specifier.len()))]
            })?;
            if !is_module(&file) {
                let message = format!("`{}` composes from `{specifier}`, which is no CSS module", self.name());
                return Err(vec![self.fault(message, specifier).hint("let the file's name end in `.module.css`")]);
            }
            if trail.contains(&file.as_path()) {
                let message = format!("`{}` composes from `{specifier}`, which composes from it", self.name());
                return Err(vec![self.fault(message, specifier).hint("remove one of the two")]);
            }
            let module = self.compiler.module_within(&file, trail)?;
            self.others.insert(specifier.clone(), (file, module));
        }
        Ok(())
    }

    fn class_lists(&self, exports: &CssModuleExports) -> Result<BTreeMap<String, String>, Vec<Fault>> {
        let compiled: HashMap<&str, &CssModuleExport> =
            exports.values().map(|export| (export.name.as_str(), export)).collect();
        let lists = exports.iter().map(|(local, export)| {
            let mut classes = Vec::new();
            self.collect(export, &compiled, &mut classes)?;
            Ok((local.clone(), classes.join(" ")))
        });
        lists.collect::<Result<_, Fault>>().map_err(|fault| vec![fault])
    }

    /// Adds the export's own name, and those of all that it composes.
    fn collect(
        &self,
        export: &CssModuleExport,
        compiled: &HashMap<&str, &CssModuleExport>,
        classes: &mut Vec<String>,
    ) -> Result<(), Fault> {
        if classes.contains(&export.name) {
            return Ok(());
        }
        classes.push(export.name.clone());
        for reference in &export.composes {
            match reference {
                CssModuleReference::Local { name } => match compiled.get(name.as_str()) {
                    Some(export) => self.collect(export, compiled, classes)?,
                    None => {
                        let local = name.strip_prefix(self.scope).unwrap_or(name);
                        return Err(self.unknown(local, &self.name(), local));
                    }
                },
                CssModuleReference::Global { name } => add(classes, name),
                CssModuleReference::Dependency { name, specifier } => {
                    let list = self.others.get(specifier).and_then(|(_, module)| module.exports.get(name));
                    let list = list.ok_or_else(|| self.unknown(name, specifier, name))?;
                    list.split(' ').for_each(|class| add(classes, class));
                }
            }
        }
        Ok(())
    }

    fn unknown(&self, name: &str, from: &str, word: &str) -> Fault {
        self.fault(format!("`{}` composes `{name}`, and there is no such class in `{from}`", self.name()), word)
            .hint("check the name; one from elsewhere is written `composes: name from global`")
    }
}

fn add(classes: &mut Vec<String>, class: &str) {
    if !classes.iter().any(|known| known == class) {
        classes.push(class.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::build::cache::Cache;
    use crate::manifest::Mode;

    #[test]
    fn exports_list_all_classes() {
        let site = tempfile::tempdir().unwrap();
        let root = site.path().canonicalize().unwrap();
        let file = |name: &str, text: &str| fs::write(&root.join(name), text.as_bytes()).unwrap();
        file(
            "a.module.css",
            ".a { composes: b from './deep/b.module.css'; composes: x y from global }\n.c { composes: a }\n",
        );
        file(
            "deep/b.module.css",
            ".b { composes: d; background: url(./b.png) }\n.d { animation: f }\n@keyframes f { to { top: 0 } }\n",
        );
        let config = crate::config::Config::load(&root, None).unwrap();
        let cache = Arc::new(Cache::open(&config));
        let compiler = Compiler::new(&config, Mode::Production, &cache).unwrap();
        let module = compiler.module(&root.join("a.module.css")).unwrap();
        insta::assert_json_snapshot!(module.exports, @r#"
        {
          "a": "a_015374c0_a b_3002eb54_b b_3002eb54_d x y",
          "c": "a_015374c0_c a_015374c0_a b_3002eb54_b b_3002eb54_d x y"
        }
        "#);
        assert_eq!(module.dependencies, BTreeSet::from([root.join("deep/b.module.css")]));
        let dependency = compiler.module(&root.join("deep/b.module.css")).unwrap();
        let (code, map) = dependency.code.split_once("/*#").unwrap();
        assert!(map.contains("sourceMappingURL=data:"), "{map}");
        insta::assert_snapshot!(code, @r#"
        .b_3002eb54_b {
          background: url("./b.png");
        }

        .b_3002eb54_d {
          animation: b_3002eb54_f;
        }

        @keyframes b_3002eb54_f {
          to {
            top: 0;
          }
        }
        "#);
    }
}
