//! For tests: what RFC 9110 asks for, written down as plainly as can be, and random requests whose answers have to agree with it.
//!
//! Requests are made from what they mean, so nothing here parses a header; ranges are sets of positions.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt;
use proptest::prelude::*;

use self::asked::{Accept, Asked, IfRange, Spec, Tags, asked};
use super::fixture::{agree, answered};
use super::{Body, Resource, Table, TableBuilder, respond};
use crate::encoding::Encoding;
use crate::fingerprint::Digest;

mod asked;

const PLAIN: &str = "abcdefghijklmnopqrstuvwxyz";
const GZIP: &str = "gzip-of-it!";
const BROTLI: &str = "br-of-i";

/// What may be selected of `/a`, in the order of preference among equals.
const CHOICES: [(&str, &str); 3] = [("br", BROTLI), ("gzip", GZIP), ("identity", PLAIN)];

/// What has to be answered.
#[derive(Debug, PartialEq)]
enum Answer {
    NotAcceptable,
    PreconditionFailed,
    NotModified(usize),
    Unsatisfiable(usize),
    Whole(usize),
    Part(usize, Vec<u64>),
    Parts(usize, Vec<Vec<u64>>),
}

fn body_of(asked: &Asked, choice: usize) -> &'static str {
    if asked.is_empty { "" } else { CHOICES[choice].1 }
}

fn model(asked: &Asked) -> Answer {
    let Some(choice) = selected(asked) else { return Answer::NotAcceptable };
    // Section 13.2.2, steps 1 and 3.
    match &asked.if_match {
        Some(Tags::List(tags)) if !tags.iter().any(|tag| !tag.is_weak && tag.of == Some(choice)) => {
            return Answer::PreconditionFailed;
        }
        _ => {}
    }
    match &asked.if_none_match {
        Some(Tags::Any) => return Answer::NotModified(choice),
        Some(Tags::List(tags)) if tags.iter().any(|tag| tag.of == Some(choice)) => return Answer::NotModified(choice),
        _ => {}
    }
    // Step 5, and section 14.2.
    let Some(ranges) = &asked.range else { return Answer::Whole(choice) };
    let holds = match &asked.if_range {
        None => true,
        Some(IfRange::Tag(tag)) => !tag.is_weak && tag.of == Some(choice),
        Some(IfRange::Date) => false,
    };
    if asked.is_head || !holds || !ranges.unit.eq_ignore_ascii_case("bytes") {
        return Answer::Whole(choice);
    }
    let length = body_of(asked, choice).len() as u64;
    let is_invalid = |spec: &Spec| matches!(spec, Spec::Between(first, last) if last < first);
    if length == 0 || ranges.specs.len() > 16 || ranges.specs.iter().any(is_invalid) {
        return Answer::Whole(choice);
    }
    let positions = |spec: &Spec| -> Vec<u64> {
        let wanted = |position: &u64| match *spec {
            Spec::Between(first, last) => first <= *position && *position <= last,
            Spec::From(first) => first <= *position,
            Spec::Last(count) => length - *position <= count,
        };
        (0..length).filter(wanted).collect()
    };
    let mut parts: Vec<Vec<u64>> = ranges.specs.iter().map(positions).filter(|part| !part.is_empty()).collect();
    let distinct: BTreeSet<&u64> = parts.iter().flatten().collect();
    let overlap = distinct.len() < parts.iter().map(Vec::len).sum::<usize>();
    match parts.len() {
        0 => Answer::Unsatisfiable(choice),
        _ if overlap => Answer::Whole(choice),
        1 => Answer::Part(choice, parts.remove(0)),
        _ if CHOICES[choice].0 != "identity" => Answer::Whole(choice),
        _ => Answer::Parts(choice, parts),
    }
}

/// Section 12.5.3.
fn selected(asked: &Asked) -> Option<usize> {
    let nothing = Vec::new();
    let list = asked.accept.as_ref().unwrap_or(&nothing);
    let said = |names: &[&str]| {
        list.iter().rev().find_map(|element| match element {
            Accept::Coding(name, weight) if names.contains(name) => Some(weight.unwrap_or(1000)),
            _ => None,
        })
    };
    let weights = CHOICES.map(|(name, _)| {
        let own = if name == "gzip" { said(&["gzip", "x-gzip"]) } else { said(&[name]) };
        match own.or_else(|| said(&["*"])) {
            Some(weight) => f64::from(weight),
            // It is acceptable if nothing is said against it.
            None if name == "identity" => 0.5,
            None => 0.0,
        }
    });
    let places: &[usize] = if asked.is_empty { &[2] } else { &[0, 1, 2] };
    let mut best = None;
    for place in places {
        if weights[*place] > best.map_or(0.0, |best: usize| weights[best]) {
            best = Some(*place);
        }
    }
    best
}

fn table() -> Table {
    let own = || HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    let resource = Resource::new(&Digest::of(PLAIN.as_bytes()), own(), bytes(PLAIN))
        .variant(Encoding::Gzip, bytes(GZIP))
        .variant(Encoding::Brotli, bytes(BROTLI));
    let mut table = TableBuilder::default();
    table.resource("/a", resource);
    table.resource("/empty", Resource::new(&Digest::of(b""), own(), Bytes::new()));
    table.build()
}

fn etag(asked: &Asked, choice: usize) -> String {
    // A tag may also be of a coding that the empty file has not got.
    let text = if CHOICES[choice].0 == "identity" { body_of(asked, choice) } else { CHOICES[choice].1 };
    let print = Digest::of(text.as_bytes()).fingerprint();
    match CHOICES[choice].0 {
        "identity" => format!("\"{}\"", print.as_str()),
        coding => format!("\"{}-{coding}\"", print.as_str()),
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// Fails unless the answer is that of the model.
fn check(asked: &Asked, response: Response<Body>) -> Result<(), TestCaseError> {
    let want = model(asked);
    let (status, choice, body) = match &want {
        Answer::NotAcceptable => (406, None, None),
        Answer::PreconditionFailed => (412, None, None),
        Answer::NotModified(choice) => (304, Some(*choice), Some(String::new())),
        Answer::Unsatisfiable(_) => (416, None, None),
        Answer::Whole(choice) => (200, Some(*choice), Some(body_of(asked, *choice).to_owned())),
        Answer::Part(choice, part) => (206, Some(*choice), Some(taken(body_of(asked, *choice), part))),
        Answer::Parts(choice, parts) => (206, Some(*choice), Some(multipart(asked, *choice, parts))),
    };
    prop_assert_eq!(response.status().as_u16(), status, "{:?}", want);
    let vary = (!asked.is_empty).then_some("accept-encoding");
    prop_assert_eq!(header(&response, "vary"), vary);
    let own = choice.map(|choice| etag(asked, choice));
    prop_assert_eq!(header(&response, "etag"), own.as_deref());
    let coding = choice.map(|choice| CHOICES[choice].0).filter(|name| *name != "identity" && status != 304);
    prop_assert_eq!(header(&response, "content-encoding"), coding);
    let content_range = match &want {
        Answer::Part(choice, part) => {
            Some(format!("bytes {}-{}/{}", part[0], part[part.len() - 1], body_of(asked, *choice).len()))
        }
        Answer::Unsatisfiable(choice) => Some(format!("bytes */{}", body_of(asked, *choice).len())),
        _ => None,
    };
    prop_assert_eq!(header(&response, "content-range"), content_range.as_deref());
    if status >= 400 {
        prop_assert_eq!(header(&response, "cache-control"), Some("no-store"));
    }
    let length = header(&response, "content-length").map(str::to_owned);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let got = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
    let got = std::str::from_utf8(&got).unwrap();
    if let Some(body) = &body {
        prop_assert_eq!(got, if asked.is_head { "" } else { body.as_str() });
        if asked.is_head && status != 304 {
            prop_assert_eq!(length, Some(body.len().to_string()));
        }
    }
    Ok(())
}

fn taken(body: &str, positions: &[u64]) -> String {
    positions.iter().map(|position| char::from(body.as_bytes()[*position as usize])).collect()
}

/// Section 14.6, and RFC 2046 section 5.1.1.
fn multipart(asked: &Asked, choice: usize, parts: &[Vec<u64>]) -> String {
    let body = body_of(asked, choice);
    let etag = etag(asked, choice);
    let boundary = etag.trim_matches('"');
    let mut text = String::new();
    for part in parts {
        let (first, last) = (part[0], part[part.len() - 1]);
        text += &format!("\r\n--{boundary}\r\ncontent-type: text/plain\r\n");
        text += &format!("content-range: bytes {first}-{last}/{}\r\n\r\n{}", body.len(), taken(body, part));
    }
    text + &format!("\r\n--{boundary}--\r\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_passes_hyper_by_is_answered_in_the_same_way(asked in asked()) {
        let request = asked.request().unwrap();
        let kind = model(&asked);
        match answered(table(), &request) {
            Some(ours) => agree(ours, respond(&table(), &request)),
            None => prop_assert!(
                asked.is_head || !matches!(kind, Answer::Whole(_) | Answer::Part(..) | Answer::NotModified(_)),
                "{kind:?} is plain"
            ),
        }
    }

    #[test]
    fn answers_are_those_of_the_model(asked in asked()) {
        check(&asked, respond(&table(), &asked.request().unwrap()))?;
    }
}

/// The generator has to reach every kind of answer, or the comparison says nothing of it.
#[test]
fn every_kind_of_answer_is_asked_for() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..4000 {
        let asked = asked().new_tree(&mut runner).unwrap().current();
        seen.insert(match model(&asked) {
            Answer::NotAcceptable => "406",
            Answer::PreconditionFailed => "412",
            Answer::NotModified(_) => "304",
            Answer::Unsatisfiable(_) => "416",
            Answer::Whole(_) => "200",
            Answer::Part(..) => "206",
            Answer::Parts(..) => "206 multipart",
        });
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}
