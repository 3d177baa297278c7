//! The source map of a stylesheet, which leads back to what people wrote.

use std::path::Path;

use parcel_sourcemap::{OriginalLocation, SourceMap, SourceMapError};

use super::imports::{Part, Parts};
use super::is_sass;
use crate::asset::{is_external, resolve_url_path};
use crate::fs;

/// A map whose sources are the parts, by their index, for the printer to fill.
pub fn new_map(parts: &Parts<'_>, root: &Path) -> Result<SourceMap, SourceMapError> {
    let mut map = SourceMap::new("/");
    for part in parts.iter() {
        let source = map.add_source(&source_name(Path::new(&fs::display_name(root, &part.path))));
        map.set_source_content(source as usize, part.text)?;
    }
    Ok(map)
}

/// What a file is called in maps. Of Sass there are none: they lead to the CSS that it became, which says so in its name.
pub fn source_name(path: &Path) -> String {
    let name = path.to_string_lossy().replace('\\', "/");
    if is_sass(&name) { name + ".css" } else { name }
}

/// The map as JSON, its sources named from the root. Where a part has a map of its own, it leads through that.
pub fn map_json(mut map: SourceMap, parts: &Parts<'_>, root: &Path) -> Result<String, SourceMapError> {
    if parts.iter().all(|part| part.map_url.is_none()) {
        return map.to_json(None);
    }
    let mut inner: Vec<Option<SourceMap>> = parts.iter().map(|part| own_map(part, root)).collect();
    let mut composed = SourceMap::new("/");
    for mapping in map.get_mappings() {
        let Some(at) = mapping.original else { continue };
        let (from, at) = match inner.get_mut(at.source as usize) {
            Some(Some(own)) => {
                let found = own.find_closest_mapping(at.original_line, at.original_column);
                let Some(at) = found.and_then(|found| found.original) else { continue };
                (&*own, at)
            }
            _ => (&map, at),
        };
        let known = composed.get_sources().len();
        let source = composed.add_source(from.get_source(at.source)?);
        if source as usize == known {
            composed.set_source_content(known, from.get_source_content(at.source)?)?;
        }
        let name = at.name.and_then(|name| from.get_name(name).ok()).map(|name| composed.add_name(name));
        let original = OriginalLocation::new(at.original_line, at.original_column, source, name);
        composed.add_mapping(mapping.generated_line, mapping.generated_column, Some(original));
    }
    composed.to_json(None)
}

/// The map that a part brings along; one that can't be read is as good as none.
fn own_map(part: &Part<'_>, root: &Path) -> Option<SourceMap> {
    let map = SourceMap::from_data_url("/", part.map_url.as_deref()?).ok()?;
    // Its sources are named from the part's folder, as a URL is.
    let base = format!("/{}", fs::display_name(root, &part.path));
    let mut named = SourceMap::new("/");
    let mut indices = Vec::new();
    for (source, content) in map.get_sources().iter().zip(map.get_sources_content()) {
        let index = match is_external(source) {
            true => named.add_source(source),
            false => named.add_source(&resolve_url_path(&base, source)),
        };
        named.set_source_content(index as usize, content).ok()?;
        indices.push(index);
    }
    named.add_names(map.get_names().clone());
    for mapping in map.get_mappings() {
        let original = mapping.original.and_then(|at| {
            let source = *indices.get(at.source as usize)?;
            Some(OriginalLocation { source, ..at })
        });
        named.add_mapping(mapping.generated_line, mapping.generated_column, original);
    }
    Some(named)
}
