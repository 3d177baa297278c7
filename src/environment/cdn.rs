//! The CDN before an environment's pages, which is told what to forget when a release goes live.

/// Whose it is, and what of it is to be purged. Secrets are none of it: they come from the process's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cdn {
    CloudFront(CloudFront),
    Cloudflare(Cloudflare),
    Fastly(Fastly),
    Http(HttpPurge),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudFront {
    pub distribution: String,
    /// Whether to wait until all edges have done it.
    pub wait: bool,
    /// In place of AWS's own API.
    pub endpoint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloudflare {
    pub zone: String,
    pub by: By,
    /// So many URLs, tags and so on in one request.
    pub batch: usize,
    /// The API's address, up to `/zones`.
    pub endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fastly {
    pub service: String,
    /// [`By::Url`] or [`By::Tag`].
    pub by: By,
    /// Whether what is purged may be shown as stale while it is fetched anew.
    pub soft: bool,
    pub endpoint: String,
}

/// Requests as they are written: `{url}`, `{host}` and `{path}` in a URL, a header or the body stand for those of the page; `{urls}`,
/// `{paths}` or `{tags}` in the body for JSON arrays of many. `${NAME}` in headers and body is a variable of the process's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPurge {
    /// Each is asked: caches that don't speak with each other.
    pub urls: Vec<String>,
    pub method: String,
    /// By lower-case name.
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    /// What the requests name.
    pub by: By,
    /// How many one request names; 1 unless the body has a list.
    pub batch: usize,
}

/// By what a CDN finds what it is to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A path without its origin.
    Path,
    Url,
    /// What a header like `Cache-Tag` says, see [`TagHeader`](super::TagHeader).
    Tag,
    /// A host with the start of a path: all below, with any query.
    Prefix,
    Host,
    Everything,
}

impl By {
    /// `1 path`, `2 paths`; what has no number is everything.
    pub fn counted(self, count: usize) -> String {
        let (one, many) = match self {
            By::Path => ("path", "paths"),
            By::Url => ("URL", "URLs"),
            By::Tag => ("tag", "tags"),
            By::Prefix => ("prefix", "prefixes"),
            By::Host => ("host", "hosts"),
            By::Everything => return "everything".to_owned(),
        };
        format!("{count} {}", if count == 1 { one } else { many })
    }

    /// Whether the environment has to say at which origins its pages are.
    pub const fn needs_origin(self) -> bool {
        matches!(self, By::Url | By::Prefix | By::Host)
    }
}

impl Cdn {
    pub const fn provider(&self) -> &'static str {
        match self {
            Cdn::CloudFront(_) => "cloudfront",
            Cdn::Cloudflare(_) => "cloudflare",
            Cdn::Fastly(_) => "fastly",
            Cdn::Http(_) => "http",
        }
    }

    pub const fn by(&self) -> By {
        match self {
            Cdn::CloudFront(_) => By::Path,
            Cdn::Cloudflare(cdn) => cdn.by,
            Cdn::Fastly(cdn) => cdn.by,
            Cdn::Http(cdn) => cdn.by,
        }
    }
}
