//! Requests by what they mean, and how that is written.

use http::Request;
use proptest::prelude::*;

use super::etag;

#[derive(Debug, Clone)]
pub struct Asked {
    pub is_head: bool,
    pub is_empty: bool,
    pub accept: Option<Vec<Accept>>,
    pub if_match: Option<Tags>,
    pub if_none_match: Option<Tags>,
    pub if_range: Option<IfRange>,
    pub range: Option<Ranges>,
}

#[derive(Debug, Clone)]
pub enum Accept {
    /// The weight in thousandths.
    Coding(&'static str, Option<u32>),
    /// What is no element of the list.
    Junk(&'static str),
}

#[derive(Debug, Clone)]
pub enum Tags {
    Any,
    List(Vec<Tag>),
}

#[derive(Debug, Clone)]
pub struct Tag {
    pub is_weak: bool,
    /// Of which coding's representation, or of none that there is.
    pub of: Option<usize>,
}

#[derive(Debug, Clone)]
pub enum IfRange {
    Tag(Tag),
    Date,
}

#[derive(Debug, Clone)]
pub struct Ranges {
    pub unit: &'static str,
    pub specs: Vec<Spec>,
}

#[derive(Debug, Clone, Copy)]
pub enum Spec {
    Between(u64, u64),
    From(u64),
    Last(u64),
}

impl Asked {
    pub fn request(&self) -> http::Result<Request<()>> {
        let mut request = Request::builder()
            .method(if self.is_head { "HEAD" } else { "GET" })
            .uri(if self.is_empty { "/empty" } else { "/a" })
            .header("host", "localhost");
        if let Some(list) = &self.accept {
            let parts: Vec<String> = list.iter().map(Accept::text).collect();
            request = request.header("accept-encoding", parts.join(", "));
        }
        let tags = |tags: &Tags| match tags {
            Tags::Any => "*".to_owned(),
            Tags::List(tags) => tags.iter().map(|tag| self.tag(tag)).collect::<Vec<_>>().join(" ,"),
        };
        if let Some(list) = &self.if_match {
            request = request.header("if-match", tags(list));
        }
        if let Some(list) = &self.if_none_match {
            request = request.header("if-none-match", tags(list));
        }
        match &self.if_range {
            None => {}
            Some(IfRange::Tag(tag)) => request = request.header("if-range", self.tag(tag)),
            Some(IfRange::Date) => request = request.header("if-range", "Tue, 01 Jan 2030 00:00:00 GMT"),
        }
        if let Some(ranges) = &self.range {
            let specs: Vec<String> = ranges.specs.iter().map(Spec::text).collect();
            request = request.header("range", format!("{}={}", ranges.unit, specs.join(", ")));
        }
        request.body(())
    }

    fn tag(&self, tag: &Tag) -> String {
        let opaque = match tag.of {
            Some(choice) => etag(self, choice),
            None => "\"of, another\"".to_owned(),
        };
        format!("{}{opaque}", if tag.is_weak { "W/" } else { "" })
    }
}

impl Accept {
    fn text(&self) -> String {
        match self {
            Accept::Coding(name, None) => (*name).to_owned(),
            Accept::Coding(name, Some(1000)) => format!("{name};q=1.0"),
            Accept::Coding(name, Some(weight)) => format!("{name} ; q=0.{weight:03}"),
            Accept::Junk(text) => (*text).to_owned(),
        }
    }
}

impl Spec {
    fn text(&self) -> String {
        match self {
            Spec::Between(first, last) => format!("{first}-{last}"),
            Spec::From(first) => format!("{first}-"),
            Spec::Last(count) => format!("-{count}"),
        }
    }
}

fn accept() -> impl Strategy<Value = Accept> {
    let names = prop::sample::select(vec!["br", "gzip", "x-gzip", "identity", "*", "zstd", "deflate"]);
    let weights = prop_oneof![Just(None), Just(Some(0)), Just(Some(1)), Just(Some(1000)), (0u32..=1000).prop_map(Some)];
    let junk =
        prop::sample::select(vec!["", "br;q=1.001", "gzip;q=x", ";q=1", "identity;q=0;q=0", "br gzip", "*;q=-1"]);
    prop_oneof![
        6 => (names, weights).prop_map(|(name, weight)| Accept::Coding(name, weight)),
        1 => junk.prop_map(Accept::Junk),
    ]
}

fn tag() -> impl Strategy<Value = Tag> {
    (any::<bool>(), prop::option::of(0usize..3)).prop_map(|(is_weak, of)| Tag { is_weak, of })
}

fn tags() -> impl Strategy<Value = Tags> {
    prop_oneof![1 => Just(Tags::Any), 4 => prop::collection::vec(tag(), 0..4).prop_map(Tags::List)]
}

fn spec() -> impl Strategy<Value = Spec> {
    let place = || prop_oneof![8 => 0u64..30, 1 => Just(u64::MAX)];
    prop_oneof![
        3 => (place(), 0u64..8).prop_map(|(first, more)| Spec::Between(first, first.saturating_add(more))),
        1 => (place(), place()).prop_map(|(first, last)| Spec::Between(first, last)),
        1 => place().prop_map(Spec::From),
        1 => place().prop_map(Spec::Last),
    ]
}

fn ranges() -> impl Strategy<Value = Ranges> {
    let units = prop::sample::select(vec!["bytes", "bytes", "bytes", "Bytes", "lines", "byte"]);
    let specs = prop_oneof![6 => prop::collection::vec(spec(), 1..4), 1 => prop::collection::vec(spec(), 15..19)];
    (units, specs).prop_map(|(unit, specs)| Ranges { unit, specs })
}

pub fn asked() -> impl Strategy<Value = Asked> {
    let if_range = prop_oneof![3 => tag().prop_map(IfRange::Tag), 1 => Just(IfRange::Date)];
    (
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.1),
        prop::option::of(prop::collection::vec(accept(), 0..5)),
        prop::option::weighted(0.25, tags()),
        prop::option::weighted(0.25, tags()),
        prop::option::weighted(0.3, if_range),
        prop::option::weighted(0.7, ranges()),
    )
        .prop_map(|(is_head, is_empty, accept, if_match, if_none_match, if_range, range)| Asked {
            is_head,
            is_empty,
            accept,
            if_match,
            if_none_match,
            if_range,
            range,
        })
}
