//! The stages of documents: pages are rendered once to see what they name and once when all has its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use memchr::memmem;
use rayon::prelude::*;

use super::answers::{DraftUrls, FinalUrls};
use super::discover::{self, Sources};
use super::graph::{Scripts, Unit};
use super::output::{Output, Outputs};
use super::template::{Page, Renderer, Templates};
use super::transform::html::{Survey, finish, finish_document, references, survey};
use super::{Site, gather};
use crate::asset::media_type;
use crate::config::Config;
use crate::error::{Fault, Result};
use crate::fingerprint::Digest;
use crate::fs;
use crate::html::{self, Editor, Link, Place};
use crate::manifest::{Entry, Kind, Mode};
use crate::release::{ReleaseId, Stamp};

/// A page rendered for a first time, to see what it names.
#[derive(Debug)]
pub struct Draft {
    pub page: Page,
    pub survey: Survey,
    /// Whether it says something of the bytes of what it names.
    tells_bytes: bool,
}

/// A page in its final form.
#[derive(Debug)]
pub struct Finished {
    draft: Arc<Draft>,
    /// What it was told of the assets that it names.
    told: Digest,
    output: Output,
}

pub(super) fn draft(
    site: &Site<'_>,
    sources: &Sources,
    templates: &Templates,
    scripts: &Scripts<'_>,
) -> Result<Vec<Arc<Draft>>> {
    let Site { config, progress, memory, .. } = *site;
    let known = memory.named(|| {
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
        known.extend(config.libraries.iter().map(|library| (library.name.as_str().to_owned(), false)));
        Ok(known)
    })?;
    let urls = Arc::new(DraftUrls::new(&config.prefix, Arc::clone(&known)));
    let renderer = templates.renderer(Arc::clone(&urls) as _);
    let look = |page: &Page| {
        if let Some(draft) = memory.drafts.get(&page.template) {
            return Ok(draft);
        }
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
        let parts = templates.parts(&page.template);
        let inputs = parts.into_iter().chain([page.template.as_str()]).filter_map(|name| sources.templates.get(name));
        let tells_bytes = text.contains("integrity") || urls.take_asked_integrity();
        let draft = Draft { page: page.clone(), survey, tells_bytes };
        Ok(memory.drafts.keep(page.template.clone(), draft, inputs.cloned()))
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
pub(super) fn add(
    site: &Site<'_>,
    templates: &Templates,
    drafts: Vec<Arc<Draft>>,
    outputs: &mut Outputs,
) -> Result<()> {
    let Site { progress, memory, .. } = *site;
    progress.stage("pages", drafts.len());
    let renderer = templates.renderer(Arc::new(FinalUrls::new(outputs)));
    let made: Vec<Result<Arc<Finished>>> = drafts
        .par_iter()
        .map(|draft| {
            progress.step();
            let told = told(site, draft, outputs);
            let kept = memory.pages.get(&draft.page.template);
            if let Some(finished) = kept.filter(|kept| Arc::ptr_eq(&kept.draft, draft) && kept.told == told) {
                return Ok(finished);
            }
            let output = render(site, templates, &renderer, draft, outputs)?;
            let finished = Finished { draft: Arc::clone(draft), told, output };
            Ok(memory.pages.keep(draft.page.template.clone(), finished, []))
        })
        .collect();
    for (draft, finished) in drafts.into_iter().zip(gather(made)?) {
        outputs.add(draft.page.path.clone(), finished.output.clone())?;
    }
    Ok(())
}

fn render(
    site: &Site<'_>,
    templates: &Templates,
    renderer: &Renderer<'_>,
    draft: &Draft,
    outputs: &Outputs,
) -> Result<Output> {
    let Draft { page, survey, .. } = draft;
    let mut text = renderer.render(page)?;
    if is_html(&page.path) {
        text = finish(site, &page.path, &text, outputs, survey)?;
    }
    let folder = fs::display_name(&site.config.root, &site.config.templates);
    let kind = if is_html(&page.path) { Kind::Page } else { Kind::Public };
    let named = |template: &str| format!("{folder}/{template}");
    let mut output = Output::new(kind, Some(named(&page.template)), text.into_bytes());
    Arc::make_mut(&mut output.inputs).extend(templates.parts(&page.template).into_iter().map(named));
    output.refers = references(outputs, survey);
    Ok(output)
}

/// All that a page is told of the assets that it names.
fn told(site: &Site<'_>, draft: &Draft, outputs: &Outputs) -> Digest {
    let tells_bytes =
        |file: &str| draft.tells_bytes || (site.config.images.dimensions && media_type(file).starts_with("image/"));
    let entry = |(_, name): &(Place, String)| {
        let entry = outputs.entries.get(name.as_str());
        let file = entry.filter(|entry| tells_bytes(&entry.file)).and_then(|entry| outputs.files.get(&entry.file));
        (name.clone(), entry.cloned(), file.map(|file| file.digest.to_string()))
    };
    let told: Vec<_> = draft.survey.references.iter().map(entry).collect();
    Digest::of(&serde_json::to_vec(&told).unwrap_or_default())
}

/// Names the release after all that it holds, then binds the pages to `development`, so that they work as they lie there.
pub fn seal(outputs: &mut Outputs, mode: Mode) -> Result<ReleaseId> {
    let release = match mode {
        Mode::Production => {
            let digests: Vec<(&str, String)> =
                outputs.files.iter().map(|(path, output)| (path.as_str(), output.digest.to_string())).collect();
            // Pages follow from these, too, once they are bound.
            let libraries = serde_json::to_vec(&outputs.libraries).unwrap_or_default();
            let libraries = (!outputs.libraries.is_empty()).then_some(libraries.as_slice());
            let parts = digests.iter().flat_map(|(path, digest)| [path.as_bytes(), digest.as_bytes()]);
            ReleaseId::of(&Digest::of_parts(parts.chain(libraries).chain([mode.as_str().as_bytes()])))
        }
        // While a site is being worked on there are no releases: a page that told of one would change with each change of others.
        Mode::Development => ReleaseId::of(&Digest::of(mode.as_str().as_bytes())),
    };

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
    let asks = memmem::Finder::new("fingerpost:");
    let pages = outputs.files.iter_mut().filter(|(path, output)| output.kind == Kind::Page && is_html(path));
    for (path, output) in pages.filter(|(_, output)| asks.find(&output.bytes).is_some()) {
        let page = String::from_utf8_lossy(&output.bytes).into_owned();
        let stamped = html::edit(path, &page, &mut stamper)?;
        output.set_bytes(stamped.into_bytes());
    }
    Ok(release)
}
