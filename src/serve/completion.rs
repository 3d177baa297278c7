//! The codings that a build has left out, made while its files are served already.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::resource::{Bodies, Part, Resource};
use super::storage::Storage;
use super::table::Table;
use crate::asset::is_compressible;
use crate::encoding::{Effort, Encoding};
use crate::fingerprint::Digest;

/// Bytes of the largest body that is compressed here: larger ones would keep a core for long, and memory with it.
const LARGEST: u64 = 8 << 20;

/// The tables with the codings that are worth it, as far as memory has room for them; none if nothing came of it. Blocks, on one
/// core, until it is done or `goes_on` says no.
pub(super) fn complete(
    tables: &[Arc<Table>],
    storage: &Storage,
    encodings: &[Encoding],
    goes_on: impl Fn() -> bool,
) -> Option<Vec<Table>> {
    let mut made: HashMap<*const Bodies, Arc<Bodies>> = HashMap::new();
    for bodies in wanting(tables) {
        if !goes_on() {
            return None;
        }
        if let Some(compressed) = compress(&bodies, storage, encodings) {
            made.insert(Arc::as_ptr(&bodies), Arc::new(compressed));
        }
    }
    let changed = |table: &Arc<Table>| table.with_bodies(storage.held(), |old| made.get(&Arc::as_ptr(old)).cloned());
    (!made.is_empty()).then(|| tables.iter().map(changed).collect())
}

/// What could be compressed and is not, once each: scripts and stylesheets first, as pages wait for them, and the small before the
/// large.
fn wanting(tables: &[Arc<Table>]) -> Vec<Arc<Bodies>> {
    let mut seen = HashSet::new();
    let mut wanting: Vec<(bool, u64, &str, Arc<Bodies>)> = Vec::new();
    for (path, resource) in tables.iter().flat_map(|table| table.resources()) {
        let Some(media_type) = media_type(resource).filter(|media_type| is_compressible(media_type)) else { continue };
        let length = resource.identity().body.length();
        let is_bare = !resource.is_negotiated() && (1..=LARGEST).contains(&length);
        if is_bare && seen.insert(Arc::as_ptr(resource.bodies())) {
            let waited_for = media_type.starts_with("text/javascript") || media_type.starts_with("text/css");
            wanting.push((!waited_for, length, path, Arc::clone(resource.bodies())));
        }
    }
    wanting.sort_by_key(|(waits, length, path, _)| (*waits, *length, *path));
    wanting.into_iter().map(|(.., bodies)| bodies).collect()
}

fn media_type(resource: &Resource) -> Option<&str> {
    resource.fields().own().get(http::header::CONTENT_TYPE)?.to_str().ok()
}

fn compress(bodies: &Bodies, storage: &Storage, encodings: &[Encoding]) -> Option<Bodies> {
    let identity = bodies.part(None)?.clone();
    // What can't be read is not served either.
    let bytes = identity.content.read().ok()?;
    let mut encoded = Vec::new();
    for encoding in encodings {
        let packed = encoding.compress_with(Effort::Little, &bytes).ok()?;
        if packed.len() < bytes.len() && storage.take(packed.len() as u64) {
            let digest = Digest::of(&packed);
            let content = bytes::Bytes::from(packed.into_boxed_slice()).into();
            encoded.push((*encoding, Part::new(&digest, content, 0)));
        }
    }
    (!encoded.is_empty()).then(|| Bodies::new(identity, encoded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::serve::storage::Policy;
    use crate::serve::{TableBuilder, dist::Release, fixture::Site};
    use bytes::Bytes;
    use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    fn table(bodies: &[(&str, &'static str, String)]) -> Arc<Table> {
        let mut table = TableBuilder::default();
        for (path, media_type, body) in bodies {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
            table.resource(*path, Resource::new(&Digest::of(body.as_bytes()), headers, Bytes::from(body.clone())));
        }
        Arc::new(table.build())
    }

    fn codings(table: &Table, path: &str) -> usize {
        table.resource(path).unwrap().encodings().count() - 1
    }

    #[test]
    fn text_is_compressed_and_nothing_else() {
        let text = "a fingerpost points each traveller to a place; ".repeat(50);
        let table = table(&[
            ("/a.css", "text/css", text.clone()),
            ("/a.png", "image/png", text.clone()),
            ("/short.css", "text/css", "x".to_owned()),
        ]);
        let storage = Storage::new(1 << 20);
        let done = complete(&[Arc::clone(&table)], &storage, &Encoding::ALL, || true).unwrap();
        assert_eq!(
            [codings(&done[0], "/a.css"), codings(&done[0], "/a.png"), codings(&done[0], "/short.css")],
            [3, 0, 0]
        );
        let coded = done[0].resource("/a.css").unwrap();
        let brotli = coded.representation(Some(Encoding::Brotli)).unwrap();
        let mut plain = Vec::new();
        brotli::BrotliDecompress(&mut brotli.body.read().unwrap().as_ref(), &mut plain).unwrap();
        assert_eq!(plain, text.as_bytes());
        assert_eq!(coded.identity().headers()["vary"], "accept-encoding");
        assert!(complete(&[table], &storage, &Encoding::ALL, || false).is_none());
    }

    #[test]
    fn the_budget_is_kept_and_scripts_come_first() {
        let text = "a fingerpost points each traveller to a place; ".repeat(50);
        let table = table(&[("/a.txt", "text/plain", text.clone()), ("/b.js", "text/javascript", format!("{text}!"))]);
        let storage = Storage::new(100);
        let done = complete(&[table], &storage, &[Encoding::Gzip], || true).unwrap();
        assert_eq!([codings(&done[0], "/a.txt"), codings(&done[0], "/b.js")], [0, 1]);
        assert!(storage.held() <= 100);
    }

    #[test]
    fn a_build_without_codings_is_completed_once() {
        let mut site = Site::new().asset("a.css", &"a { color: red } ".repeat(50));
        site.manifest.files.values_mut().for_each(|file| file.variants.clear());
        site.write_manifest();
        let file = format!("/{}", site.file_of("a.css"));
        let environments = [Environment::new("development")];
        let policy = Policy::default();
        let first = Release::load(&site.out(), &environments, &policy, &[]).unwrap();
        assert!(first.is_unfinished);
        let tables: Vec<Arc<Table>> = first.tables.into_iter().map(Arc::new).collect();
        let done = complete(&tables, &first.storage, &policy.encodings, || true).unwrap();
        assert_eq!(codings(&done[0], &file), 3);
        let before: Vec<Arc<Table>> = done.into_iter().map(Arc::new).collect();
        let again = Release::load(&site.out(), &environments, &policy, &before).unwrap();
        assert_eq!(codings(&again.tables[0], &file), 3, "what was made is taken again");
        assert!(again.storage.held() > 0);
        let off = Policy { encodings: Vec::new(), ..Policy::default() };
        assert!(!Release::load(&site.out(), &environments, &off, &[]).unwrap().is_unfinished);
    }
}
