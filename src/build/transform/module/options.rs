//! How the bundler is asked to work.

use std::collections::BTreeMap;
use std::sync::Arc;

use oxc::transformer::EngineTargets;
use rolldown::{BundlerOptions, ChunkFilenamesOutputOption, OutputFormat, Platform, RawMinifyOptions, SourceMapType};
use rolldown_common::{BundlerTransformOptions, CommentsOptions, Either, ResolveOptions, RollupPreRenderedChunk};

use super::naming::Naming;
use super::{Job, maps};
use crate::config::{Config, SourceMaps};
use crate::error::{Fault, Result};
use crate::manifest::Mode;

pub fn options(job: &Job, naming: &Arc<Naming>) -> Result<BundlerOptions, Fault> {
    let Job { config, mode, .. } = job;
    let production = *mode == Mode::Production;
    let names = Arc::clone(naming);
    let filenames = ChunkFilenamesOutputOption::Fn(Arc::new(move |chunk: &RollupPreRenderedChunk| {
        let ids: Vec<&str> = chunk.module_ids.iter().map(|id| id.as_str()).collect();
        let stable = names.stable(&chunk.name, chunk.facade_module_id.as_ref().map(|id| id.as_str()), &ids);
        Box::pin(async move { Ok(stable) })
    }));
    Ok(BundlerOptions {
        cwd: Some(config.root.clone()),
        dir: Some(maps::OUT.to_owned()),
        platform: Some(Platform::Browser),
        format: Some(OutputFormat::Esm),
        entry_filenames: Some(filenames.clone()),
        chunk_filenames: Some(filenames),
        // They are added to the final map; the bundler would write them out in vain.
        sourcemap_exclude_sources: Some(true),
        sourcemap: (config.source_maps != SourceMaps::None).then_some(SourceMapType::Hidden),
        // That is done with each chunk as a whole.
        minify: Some(RawMinifyOptions::Bool(false)),
        minify_internal_exports: Some(production),
        // Licences are gathered into one file.
        comments: Some(CommentsOptions { legal: !production, annotation: !production, jsdoc: !production }),
        define: Some(define(config, *mode, &job.variables).into_iter().collect()),
        resolve: Some(ResolveOptions {
            condition_names: Some(vec!["module".to_owned(), mode.as_str().to_owned()]),
            ..ResolveOptions::default()
        }),
        transform: Some(BundlerTransformOptions {
            target: Some(Either::Right(engines(config.targets.query(*mode))?)),
            ..BundlerTransformOptions::default()
        }),
        ..BundlerOptions::default()
    })
}

/// What stands for what in the scripts, as JavaScript.
pub fn define(config: &Config, mode: Mode, variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let production = mode == Mode::Production;
    let mut environment = serde_json::json!({
        "MODE": mode.as_str(), "PROD": production, "DEV": !production, "SSR": false, "BASE_URL": "/",
    });
    if let Some(environment) = environment.as_object_mut() {
        environment.extend(variables.iter().map(|(key, value)| (key.clone(), value.as_str().into())));
    }
    let mut define = BTreeMap::from([
        ("process.env.NODE_ENV".to_owned(), format!("{:?}", mode.as_str())),
        ("import.meta.env".to_owned(), environment.to_string()),
    ]);
    for (key, value) in environment.as_object().into_iter().flatten() {
        define.insert(format!("import.meta.env.{key}"), value.to_string());
    }
    define.extend(config.define.iter().map(|(name, value)| (name.clone(), value.to_string())));
    define
}

/// The browserslist query as the transformer wants it: `chrome109`, `safari15.6`. What runs no modules at all is left out.
fn engines(query: &str) -> Result<Vec<String>, Fault> {
    let targets = EngineTargets::try_from_query(query)
        .map_err(|error| Fault::new(format!("`{query}` is no browserslist query: {error}")))?;
    let mut engines: Vec<String> = targets
        .iter()
        .map(|(engine, version)| format!("{engine}{version}"))
        .filter(|engine| !engine.starts_with("ie") && !engine.starts_with("es"))
        .collect();
    engines.sort_unstable();
    Ok(engines)
}
