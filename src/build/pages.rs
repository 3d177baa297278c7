//! The stages of documents: pages are rendered once to see what they name and once when all has its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::answers::{DraftUrls, FinalUrls};
use super::discover::{self, Sources};
use super::graph::{Scripts, Unit};
use super::output::{Output, Outputs};
use super::template::{Page, Templates};
use super::transform::html::{Survey, finish, finish_document, references, survey};
use super::{Site, gather};
use crate::config::Config;
use crate::error::{Fault, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::html::{self, Editor, Link, Place};
use crate::manifest::{Entry, Kind, Mode};
use crate::release::{ReleaseId, Stamp};

/// A page rendered for a first time, to see what it names.
pub struct Draft {
    pub page: Page,
    pub survey: Survey,
}

pub(super) fn draft(
    site: &Site<'_>,
    sources: &Sources,
    templates: &Templates,
    scripts: &Scripts<'_>,
) -> Result<Vec<Draft>> {
    let Site { config, progress, .. } = *site;
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    for (name, path) in sources.assets.iter().chain(&sources.parts) {
        let script = discover::is_plain_script(name.as_str()) || discover::is_compiled_script(name.as_str());
        known.insert(name.as_str().to_owned(), script && scripts.is_module(path)?);
    }
    for bundle in &config.bundles {
        let mut module = false;
        for input in bundle.inputs.iter().filter(|_| bundle.name.extension() != "css") {
            module |= scripts.is_module(input)?;
        }
        known.insert(bundle.name.as_str().to_owned(), module);
    }
    let known = Arc::new(known);
    let urls = Arc::new(DraftUrls::new(&config.prefix, Arc::clone(&known)));
    let renderer = templates.renderer(Arc::clone(&urls) as _);
    let look = |page: &Page| {
        let rendered = renderer.render(page);
        // After those that stand in the page's elements, which say more: what an element loads, and how.
        let named = urls.take_named().into_iter().map(|name| (Place::Other, name));
        let text = rendered?;
        let mut survey = match is_html(&page.path) {
            true => survey(&page.path, &text, &config.prefix, &|name| known.contains_key(name))?,
            false => Survey::default(),
        };
        for url in &survey.unknown {
            progress.warn(format!("`{}` refers to `{url}`, and there is no such asset", page.template));
        }
        survey.references.extend(named);
        Ok(Draft { page: page.clone(), survey })
    };
    gather(templates.pages.iter().map(look).collect())
}

fn is_html(path: &str) -> bool {
    path.ends_with(".html") || path.ends_with(".htm")
}

/// Web app manifests: they keep their names at the site's root, since what they say is relative to where they lie.
pub fn add_documents(config: &Config, units: &[Unit], outputs: &mut Outputs) -> Result<()> {
    for unit in units {
        let Some(single) = unit.single() else { continue };
        let source = fs::display_name(&config.root, single);
        let text = fs::read_text(single, &source)?;
        serde_json::from_str::<serde_json::Value>(&text).map_err(|error| {
            Fault::new(format!("`{source}` is not valid JSON: {error}")).hint("correct it at the marked place").at_line(
                &source,
                text.as_str(),
                error.line(),
                error.column(),
            )
        })?;
        let path = unit.name.as_str().to_owned();
        outputs.add(path.clone(), Output::new(Kind::Page, Some(source), text.into_bytes()))?;
        outputs.name(&unit.name, Some(single), Entry::new(path))?;
    }
    let manifests: Vec<String> =
        outputs.files.iter().filter(|(_, output)| output.kind == Kind::Page).map(|(path, _)| path.clone()).collect();
    for path in manifests {
        if let Some(output) = outputs.files.get(&path) {
            let text = String::from_utf8_lossy(&output.bytes).into_owned();
            let (finished, refers) = finish_document(&path, &text, outputs);
            if let Some(output) = outputs.files.get_mut(&path) {
                output.set_bytes(finished.into_bytes());
                output.refers = refers;
            }
        }
    }
    Ok(())
}

/// Renders the pages again, now that every asset has its name, and puts them in their final form.
pub(super) fn add(site: &Site<'_>, templates: &Templates, drafts: Vec<Draft>, outputs: &mut Outputs) -> Result<()> {
    let Site { config, progress, .. } = *site;
    progress.stage("pages", drafts.len());
    let renderer = templates.renderer(Arc::new(FinalUrls::new(outputs)));
    let folder = fs::display_name(&config.root, &config.templates);
    let made: Vec<Result<String>> = drafts
        .par_iter()
        .map(|draft| {
            let text = renderer.render(&draft.page)?;
            progress.step();
            if is_html(&draft.page.path) {
                finish(site, &draft.page.path, &text, outputs, &draft.survey)
            } else {
                Ok(text)
            }
        })
        .collect();
    for (draft, text) in drafts.into_iter().zip(gather(made)?) {
        let kind = if is_html(&draft.page.path) { Kind::Page } else { Kind::Public };
        let named = |template: &str| format!("{folder}/{template}");
        let mut output = Output::new(kind, Some(named(&draft.page.template)), text.into_bytes());
        output.inputs.extend(templates.parts(&draft.page.template).into_iter().map(named));
        output.refers = references(outputs, &draft.survey);
        outputs.add(draft.page.path, output)?;
    }
    Ok(())
}

/// Names the release after all that it holds, then binds the pages to `development`, so that they work as they lie there.
pub fn seal(outputs: &mut Outputs, mode: Mode) -> Result<ReleaseId> {
    let digests: Vec<(&str, String)> =
        outputs.files.iter().map(|(path, output)| (path.as_str(), output.digest.to_string())).collect();
    let parts = digests.iter().flat_map(|(path, digest)| [path.as_bytes(), digest.as_bytes()]);
    let release = ReleaseId::of(&Digest::of_parts(parts.chain([mode.as_str().as_bytes()])));

    struct Stamper<'a>(Stamp<'a>);
    impl Editor for Stamper<'_> {
        fn url(&mut self, _: Place, _: &str) -> Option<Link> {
            None
        }
        fn meta(&mut self, name: &str) -> Option<String> {
            self.0.meta(name)
        }
    }
    let mut stamper = Stamper(Stamp { environment: "development", release: &release });
    for (path, output) in outputs.files.iter_mut().filter(|(path, output)| output.kind == Kind::Page && is_html(path)) {
        let page = String::from_utf8_lossy(&output.bytes).into_owned();
        let stamped = html::edit(path, &page, &mut stamper)?;
        output.set_bytes(stamped.into_bytes());
    }
    Ok(release)
}
