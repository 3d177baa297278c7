//! Source maps of chunks: from what is printed, over the code as the bundler made it, to the sources.

use std::borrow::Cow;

use json_escape_simd::escape;
use oxc_sourcemap::{SourceMap, Token, TokenChunk};
use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Job;
use super::plugin::lock;
use crate::asset::resolve_url_path;
use crate::fs;

/// Where the tokens of printed code come from, in the code that it was printed from: piece by piece, in order.
#[derive(Debug)]
pub struct Positions(pub Vec<Piece>);

/// Of a part that was printed by itself.
#[derive(Debug)]
pub struct Piece {
    /// As if it were all there is.
    pub tokens: Box<[Token]>,
    /// Where the piece begins in what is printed. Lines and columns are counted from 0.
    pub line: u32,
    pub column: u32,
    /// The line on which its code begins.
    pub source_line: u32,
}

impl Piece {
    fn place(&self, token: &Token) -> Token {
        let start = if token.get_dst_line() == 0 { self.column } else { 0 };
        Token::new(
            token.get_dst_line() + self.line,
            token.get_dst_col() + start,
            token.get_src_line() + self.source_line,
            token.get_src_col(),
            token.get_source_id(),
            None,
        )
    }
}

/// The map from printed code to the sources, given that from the bundler's code to them.
pub fn compose(map: SourceMap<'static>, positions: &Positions) -> SourceMap<'static> {
    let lines = map.generate_lookup_table();
    let trace = |token: Token| {
        let place = token.get_source_id().and_then(|_| {
            map.lookup_token_approx(&lines, token.get_src_line(), token.get_src_col())
                .filter(|source| source.get_source_id().is_some())
        });
        let (line, column) = place.map_or((0, 0), |place| (place.get_src_line(), place.get_src_col()));
        let (source, name) = place.map_or((None, None), |place| (place.get_source_id(), place.get_name_id()));
        Token::new(token.get_dst_line(), token.get_dst_col(), line, column, source, name)
    };
    let mut tokens = vec![Token::new(0, 0, 0, 0, None, None); positions.0.iter().map(|piece| piece.tokens.len()).sum()];
    let mut rest = tokens.as_mut_slice();
    let mut places = Vec::new();
    for piece in &positions.0 {
        let (own, others) = std::mem::take(&mut rest).split_at_mut(piece.tokens.len());
        places.extend(
            own.chunks_mut(STRETCH).zip(piece.tokens.chunks(STRETCH)).map(|(own, tokens)| (own, tokens, piece)),
        );
        rest = others;
    }
    places.into_par_iter().for_each(|(own, tokens, piece)| {
        own.iter_mut().zip(tokens).for_each(|(own, token)| *own = trace(piece.place(token)));
    });
    drop(lines);
    let mut parts = map.into_parts();
    parts.tokens = tokens.into_boxed_slice();
    parts.token_chunks = None;
    SourceMap::from_parts(parts)
}

/// Where the bundler believes that it writes to, below the root: only for the relative paths in its maps.
pub const OUT: &str = "dist";

/// So many tokens are worked on at a time.
const STRETCH: usize = 16 * 1024;

/// The map of the chunk of that stable path as JSON: its sources below the root, instead of relative to an output folder, and
/// with what is in them.
pub fn to_json(job: &Job, stable: &str, map: SourceMap<'static>) -> String {
    let url = format!("/{OUT}/{stable}");
    let name = |source: &str| fs::portable(&resolve_url_path(&url, source)).trim_start_matches('/').to_owned();
    let folder = job.config.root.join(OUT).join(stable);
    let id = |source: &str| fs::normalize(&folder.join("..").join(source));
    let names: Vec<String> = map.get_names().map(escape).collect();
    let parts = map.into_parts();
    let source = |source: &Cow<'_, str>| {
        let loaded = lock(&job.loaded).get(&id(source)).cloned();
        (escape(&name(source)), loaded.as_deref().map_or_else(|| "null".to_owned(), escape))
    };
    let sources = || parts.sources.par_iter().map(source).unzip();
    let (mappings, (sources, contents)): (_, (Vec<String>, Vec<String>)) =
        rayon::join(|| mappings(&parts.tokens), sources);
    // As much as a site's scripts: put together once, in one place.
    let mut json =
        String::with_capacity(mappings.iter().chain(&contents).map(|part| part.len() + 1).sum::<usize>() + 256);
    for (key, items) in
        [("{\"version\":3,\"names\":[", &names), ("],\"sources\":[", &sources), ("],\"sourcesContent\":[", &contents)]
    {
        json += key;
        for (index, item) in items.iter().enumerate() {
            json += if index > 0 { "," } else { "" };
            json += item;
        }
    }
    json += "],\"mappings\":\"";
    mappings.iter().for_each(|part| json += part);
    json += "\"}";
    json
}

/// The tokens as <https://tc39.es/ecma426/#sec-mappings> has them, stretch by stretch: each begins where the one before ends.
fn mappings(tokens: &[Token]) -> Vec<String> {
    let is_mapped = |token: &&Token| token.get_source_id().is_some();
    // The source and the name that each stretch's first token is told from.
    let (mut source, mut name) = (Token::new(0, 0, 0, 0, Some(0), None), 0);
    let stretches: Vec<_> = tokens
        .chunks(STRETCH)
        .enumerate()
        .map(|(index, own)| {
            let before = (index * STRETCH, source, name);
            let mapped = own.iter().rev().filter(is_mapped);
            name = mapped.clone().find_map(Token::get_name_id).unwrap_or(name);
            source = mapped.clone().next().copied().unwrap_or(source);
            before
        })
        .collect();
    let encode = |(start, source, name): (usize, Token, u32)| {
        let first = start.saturating_sub(1);
        let own = &tokens[first..(start + STRETCH).min(tokens.len())];
        let last = Some(&own[0]).filter(|_| start > 0);
        let chunk = TokenChunk::new(
            u32::from(start > 0),
            u32::try_from(own.len()).unwrap_or(u32::MAX),
            last.map_or(0, Token::get_dst_line),
            last.map_or(0, Token::get_dst_col),
            source.get_src_line(),
            source.get_src_col(),
            name,
            source.get_source_id().unwrap_or(0),
        );
        SourceMap::new(None, vec![], None, vec![], vec![], own.into(), Some(vec![chunk])).to_json().mappings
    };
    stretches.into_par_iter().map(encode).collect()
}

/// As the mappings of a source map.
impl Serialize for Positions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tokens = self.0.iter().flat_map(|piece| piece.tokens.iter().map(|token| piece.place(token))).collect();
        SourceMap::new(None, vec![], None, vec!["".into()], vec![], tokens, None).to_json_string().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = String::deserialize(deserializer)?;
        let map = SourceMap::from_json_string(&json).map_err(de::Error::custom)?;
        Ok(Positions(vec![Piece { tokens: map.into_parts().tokens, line: 0, column: 0, source_line: 0 }]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_of_mappings_are_those_of_the_whole() {
        let token = |index: u32| {
            let mapped = !index.is_multiple_of(7);
            let source = mapped.then_some(index % 5);
            let (line, column) = if mapped { (index / 3, index % 11) } else { (0, 0) };
            Token::new(index / 1000, index % 1000, line, column, source, index.is_multiple_of(13).then_some(index % 17))
        };
        let tokens: Vec<Token> = (0..2 * u32::try_from(STRETCH).unwrap() + 99).map(token).collect();
        let whole = SourceMap::new(None, vec![], None, vec![], vec![], tokens.clone().into(), None);
        assert!(mappings(&tokens).concat() == whole.to_json().mappings);
        assert!(mappings(&[]).is_empty());
    }
}
