//! Errors that pages throw, led back to the sources.

use std::path::Path;

use serde::Deserialize;

use super::problem::{Problem, Spot};
use crate::asset::decode_url_path;
use crate::build::Snapshot;
use crate::fs;

/// What a page tells of an error that nobody has caught.
#[derive(Debug, Deserialize)]
pub struct Thrown {
    message: String,
    /// As the engine writes it: each has a form of its own, and all name `URL:LINE:COLUMN`.
    #[serde(default)]
    stack: String,
    #[serde(default)]
    url: String,
    /// Both from 1; 0 if they are not known.
    #[serde(default)]
    line: u32,
    #[serde(default)]
    column: u32,
}

/// A call in a stack: what is served at that path, and where in it.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    path: String,
    line: u32,
    column: u32,
}

/// The error at the innermost of its places that is in one of the site's sources.
pub fn trace(root: &Path, snapshot: Option<&Snapshot>, thrown: &Thrown) -> Problem {
    let own = Call { path: path_of(&thrown.url).unwrap_or_default(), line: thrown.line, column: thrown.column };
    let spots = calls(&thrown.stack).chain([own]).filter_map(|call| {
        let place = snapshot?.original_position(&call.path, call.line, call.column)?;
        // A package's sources are nobody's here to mend; its caller's are.
        let is_foreign = place.file.contains("node_modules/");
        let text = match place.text {
            Some(text) => text,
            None => fs::read_text(&root.join(&place.file), &place.file).ok()?,
        };
        Some((is_foreign, Spot::new(&place.file, &text, place.line as usize, place.column as usize, 1)))
    });
    let spots: Vec<(bool, Spot)> = spots.collect();
    let best = spots.iter().find(|(is_foreign, _)| !is_foreign).or(spots.first());
    Problem { message: thrown.message.clone(), hint: None, place: best.map(|(_, spot)| spot.clone()) }
}

/// Every `URL:LINE:COLUMN` of a stack, the innermost first.
fn calls(stack: &str) -> impl Iterator<Item = Call> {
    stack.lines().filter_map(|line| {
        let start = line.find("http://").or_else(|| line.find("https://"))?;
        let place = line[start..].trim_end().trim_end_matches(')');
        let (rest, column) = place.rsplit_once(':')?;
        let (url, line) = rest.rsplit_once(':')?;
        Some(Call { path: path_of(url)?, line: line.parse().ok()?, column: column.parse().ok()? })
    })
}

/// The path of a URL, decoded, without the slash before it.
fn path_of(url: &str) -> Option<String> {
    let path = url.split_once("://")?.1.split_once('/')?.1;
    let path = path.split(['?', '#']).next()?;
    decode_url_path(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_of_every_engine_are_read() {
        let call = |path: &str, line, column| Call { path: path.to_owned(), line, column };
        for (stack, want) in [
            (
                "TypeError: x\n    at f (http://localhost:8080/assets/js/a.js:3:7)\n    at http://localhost:8080/assets/b%20c.js?v=1:4:1",
                vec![call("assets/js/a.js", 3, 7), call("assets/b c.js", 4, 1)],
            ),
            (
                "f@https://localhost/assets/a.js:3:7\n@https://localhost/:1:2\n",
                vec![call("assets/a.js", 3, 7), call("", 1, 2)],
            ),
            ("Error: no\n    at <anonymous>:1:1\n    at native", vec![]),
        ] {
            assert_eq!(calls(stack).collect::<Vec<_>>(), want, "{stack}");
        }
    }
}
