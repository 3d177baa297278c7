//! The site's service worker, and the list of what it fetches before it is asked for.
//!
//! Its code is the same for every site; what it is about stands in its first line, as JSON whose strings are bound to the environment
//! like a page's.

use serde_json::json;

use super::dialect;
use super::output::{Output, Outputs};
use super::record::Relation;
use super::transform::script::{self, Goal};
use crate::asset::url_path;
use crate::config::{Config, Worker};
use crate::error::{Fault, Result};
use crate::fingerprint::Digest;
use crate::manifest::{Kind, Mode};
use crate::progress::Progress;

const CODE: &str = include_str!("worker.js");
const KILL: &str = include_str!("worker_kill.js");
const REGISTER: &str = include_str!("worker_register.js");

/// Bytes, as they are sent, beyond which it is said how much is fetched of everybody's first visit.
const MUCH: u64 = 3 << 20;

/// Puts the worker among the outputs, once all that it names is there.
pub fn add(config: &Config, mode: Mode, progress: &dyn Progress, outputs: &mut Outputs) -> Result<()> {
    let Some(worker) = &config.worker else { return Ok(()) };
    // While a site is being worked on, what a worker kept of its last release is in the way.
    if worker.kill || mode == Mode::Development {
        return Ok(outputs.add(worker.name.clone(), document(KILL.to_owned()))?);
    }
    let assets = assets(worker, outputs);
    let offline = worker.offline.as_deref().map(|page| offline(page, outputs)).transpose()?;
    let bytes: u64 = assets.iter().map(|asset| asset.bytes).sum();
    if bytes > MUCH {
        let (count, mebibytes) = (assets.len(), bytes >> 20);
        progress.warn(format!(
            "the service worker fetches {count} files of some {mebibytes} MiB at everybody's first visit; `precache` of `worker` says which"
        ));
    }
    let mut about = json!({
        "assets": assets.iter().map(|asset| (asset.url(), asset.integrity.clone().into())).collect::<serde_json::Map<_, _>>(),
        "keep": worker.keep,
        "offline": offline.as_ref().map(|(url, _)| url),
        "pages": worker.pages,
        "prefix": format!("/{}/", url_path(&outputs.prefix)),
        "wait": worker.wait.as_millis() as u64,
    });
    // Another offline page is another worker, too.
    let revision = offline.as_ref().map_or("", |(_, revision)| revision);
    let id = Digest::of(format!("{about} {revision}").as_bytes()).fingerprint();
    about["id"] = id.as_str().into();
    let mut output = document(format!("const BUILD = {about};\n{CODE}"));
    output.refers = assets.iter().map(|asset| (Relation::Url, asset.path.clone())).collect();
    outputs.add(worker.name.clone(), output)?;
    if let Some(name) = &worker.list {
        let list = list(&assets, offline.as_ref().map(|(url, _)| url.as_str()), outputs);
        outputs.add(name.clone(), document(list))?;
    }
    Ok(())
}

/// What pages have in their head, so that browsers know of the worker; empty if they don't.
pub fn registration(config: &Config, mode: Mode) -> String {
    let wanted = config.worker.as_ref().filter(|worker| worker.register && mode == Mode::Production);
    let Some(worker) = wanted else { return String::new() };
    let code = REGISTER.replace("NAME", &worker.name);
    let code = script::minify("register", &code, Goal::Classic).map_or(code, |minified| minified.code);
    format!("<script>{}</script>", code.trim())
}

fn document(text: String) -> Output {
    Output::new(Kind::Page, None, text.into_bytes())
}

struct Asset {
    path: String,
    integrity: String,
    /// As they are sent.
    bytes: u64,
}

impl Asset {
    fn url(&self) -> String {
        format!("/{}", url_path(&self.path))
    }
}

fn assets(worker: &Worker, outputs: &Outputs) -> Vec<Asset> {
    let is_wanted = |output: &Output| {
        output.kind == Kind::Asset && worker.precache.iter().any(|pattern| pattern.matches(&output.name))
    };
    let wanted = outputs.files.iter().filter(|(_, output)| is_wanted(output));
    let sent = |output: &Output| match crate::asset::is_compressible(&crate::asset::media_type(&output.name)) {
        // They are not compressed yet.
        true => output.bytes.len() as u64 / 3,
        false => output.bytes.len() as u64,
    };
    wanted
        .map(|(path, output)| Asset {
            path: path.clone(),
            integrity: output.digest.integrity().as_str().to_owned(),
            bytes: sent(output),
        })
        .collect()
}

/// The URL of the offline page, and what tells it from another.
fn offline(page: &str, outputs: &Outputs) -> Result<(String, String)> {
    let path = page.trim_start_matches('/');
    let candidates = [path.to_owned(), format!("{path}.html"), format!("{path}/index.html")];
    let found = candidates.iter().find_map(|path| Some((path, outputs.files.get(path)?)));
    let found = found.filter(|(_, output)| output.kind == Kind::Page);
    let (path, output) = found.ok_or_else(|| {
        Fault::new(format!("`offline` of `worker` names no page: `{page}`"))
            .hint("write the page's path below the output folder, such as `offline.html`, and add a template for it")
    })?;
    Ok((format!("/{}", url_path(path)), output.digest.fingerprint().as_str().to_owned()))
}

/// In Workbox's words.
fn list(assets: &[Asset], offline: Option<&str>, outputs: &Outputs) -> String {
    let page =
        outputs.files.iter().filter(|(path, _)| offline.is_some_and(|page| page == format!("/{}", url_path(path))));
    let assets = assets.iter().filter_map(|asset| outputs.files.get_key_value(&asset.path));
    let files: Vec<(&String, &Output)> = assets.chain(page).collect();
    serde_json::Value::from(dialect::workbox_entries(&files)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_stands_in_strings_of_its_own() {
        // A string of the code that begins as a URL of the site would be taken for one.
        for line in CODE.lines().filter(|line| !line.trim_start().starts_with("//")) {
            assert!(line.matches('"').count() % 2 == 0 && !line.contains("\"/"), "{line}");
        }
    }

    #[test]
    fn the_code_parses() {
        for code in [format!("const BUILD = {{}};\n{CODE}"), KILL.to_owned(), REGISTER.to_owned()] {
            script::minify("worker", &code, Goal::Classic).unwrap();
        }
        assert!(!REGISTER.contains("</"));
    }
}
