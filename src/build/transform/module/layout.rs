//! Which stylesheets of modules make one file, which chunk needs which, and how a lazy one's are loaded before it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use rolldown_common::RollupRenderedChunk;

use super::edits::{Edit, dotted};
use super::naming::Naming;
use super::references;
use super::sheets::{self, Modules};
use crate::asset::resolve_url_path;

/// Which stylesheets there are, and which chunk needs which.
#[derive(Debug, Default)]
pub struct Layout {
    pub sheets: Vec<Sheet>,
    /// By the file name of a chunk that is loaded by itself: indices of `sheets`, in the order of the cascade.
    pub by_root: BTreeMap<String, Vec<usize>>,
}

/// A stylesheet made of those that modules import.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Its path below the prefix without a fingerprint: `js/app.css`.
    pub path: String,
    /// The same with what stands for it while its bytes are not final: `js/app~1f0c2a9b.css`.
    pub stable: String,
    /// Absolute paths, in order.
    pub inputs: Vec<PathBuf>,
}

impl Layout {
    /// Divides the sheets into files, once all chunks are known.
    pub fn new(naming: &Naming, modules: &mut Modules, chunks: impl Iterator<Item = Arc<RollupRenderedChunk>>) -> Self {
        let mut roots: BTreeMap<String, (String, String)> = BTreeMap::new();
        for chunk in chunks {
            modules.included.extend(chunk.module_ids.iter().map(ToString::to_string));
            if let (true, Some(id)) = (chunk.is_entry || chunk.is_dynamic_entry, &chunk.facade_module_id) {
                roots.insert(chunk.filename.to_string(), (chunk.name.to_string(), id.to_string()));
            }
        }
        let orders: BTreeMap<String, Vec<String>> = roots
            .iter()
            .map(|(file, (_, id))| (file.clone(), modules.order(id)))
            .filter(|(_, order)| !order.is_empty())
            .collect();
        let mut layout = Layout::default();
        let mut part_of: HashMap<&str, usize> = HashMap::new();
        let parts = sheets::parts(&orders);
        for (index, part) in parts.iter().enumerate() {
            part_of.extend(part.iter().map(|sheet| (sheet.as_str(), index)));
            let mut owners = orders.iter().filter(|(_, order)| part.iter().any(|sheet| order.contains(sheet)));
            let owner = match (owners.next(), owners.next()) {
                (Some((file, order)), None) if order.len() == part.len() => roots.get(file),
                _ => None,
            };
            let (path, stable) = naming.sheet(owner.map(|(name, id)| (name.as_str(), id.as_str())), part);
            layout.sheets.push(Sheet { path, stable, inputs: part.iter().map(PathBuf::from).collect() });
        }
        for (root, order) in &orders {
            let mut needed: Vec<usize> =
                order.iter().filter_map(|sheet| part_of.get(sheet.as_str()).copied()).collect();
            needed.dedup();
            layout.by_root.insert(root.clone(), needed);
        }
        layout
    }

    /// Edits to a chunk's code that load the sheets of lazy chunks before those run.
    pub fn loading(&self, file: &str, code: &str) -> Vec<Edit> {
        let base = format!("/{file}");
        let mut edits = Vec::new();
        for (place, specifier) in references::dynamic_imports(code) {
            let target = resolve_url_path(&base, &specifier);
            let Some(sheets) = self.by_root.get(target.trim_start_matches('/')) else { continue };
            let stable = sheets.iter().filter_map(|sheet| self.sheets.get(*sheet)).map(|sheet| &sheet.stable);
            let names: serde_json::Value = stable.map(|stable| dotted(file, stable)).collect();
            edits.push((place.start..place.start, format!("__fingerpost_sheets({names}).then(() => ")));
            edits.push((place.end..place.end, ")".to_owned()));
        }
        if !edits.is_empty() {
            edits.push((code.len()..code.len(), LOAD_SHEETS.to_owned()));
        }
        edits
    }
}

/// Loads stylesheets by their stable names, each in its place in the cascade, and is done when all of them apply.
const LOAD_SHEETS: &str = r#"
function __fingerpost_sheets(names) {
  let next = null;
  const waits = [];
  for (const name of names.reverse()) {
    const href = import.meta.resolve(name);
    let link = [...document.querySelectorAll("link[rel~=stylesheet]")].find((link) => link.href === href);
    if (!link) {
      link = document.createElement("link");
      link.rel = "stylesheet";
      link.href = href;
      const map = document.querySelector("script[type=importmap]");
      for (const [url, integrity] of Object.entries((map && JSON.parse(map.textContent).integrity) || {})) {
        if (new URL(url, document.baseURI).href === href) {
          link.integrity = integrity;
          link.crossOrigin = "anonymous";
        }
      }
      const made = link;
      made.loaded = new Promise((done, failed) => {
        made.onload = done;
        made.onerror = () => {
          made.remove();
          failed(new Error("could not load the stylesheet " + href));
        };
      });
      next ? next.before(made) : document.head.append(made);
    }
    waits.push(link.loaded);
    next = link;
  }
  return Promise.all(waits);
}
"#;
