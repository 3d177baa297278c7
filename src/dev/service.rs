//! What answers while a site is being worked on: the table, as [`serve`](crate::serve) does, and beside it what pages and the server
//! have to say to each other, below `/@fingerpost/`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::stream;
use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, VARY,
};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;

use super::editor;
use super::guard::{Guard, Verdict};
use super::insert;
use super::problem::Problem;
use super::runtime::{self, Thrown};
use super::tabs::{Subscription, Tabs};
use super::update::{Page, Shown, Update};
use crate::config::WebOrigin;
use crate::error::Error;
use crate::serve::{Gateway, Handler};

/// Where all of it lies. No asset's URL begins so.
pub const BASE: &str = "/@fingerpost/";

/// What each page runs.
const CLIENT: &str = include_str!("client.js");

/// Bytes of the longest message of a page.
const LONGEST: usize = 1 << 20;

/// How often a line that has nothing to say says so, for the proxies in between.
const PULSE: Duration = Duration::from_secs(15);

/// A request's own header: a page of another origin can't send it without asking first.
const OWN: HeaderName = HeaderName::from_static("x-fingerpost");

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What the server and the one who builds share.
pub struct Site {
    pub root: PathBuf,
    pub guard: ArcSwap<Guard>,
    pub tabs: Tabs,
    heard: UnboundedSender<Heard>,
    state: Mutex<State>,
}

/// What pages give to know.
#[derive(Debug)]
pub enum Heard {
    Thrown(Problem),
    /// One of this machine's was refused.
    Refused(WebOrigin),
}

/// What is served, and what is wrong.
#[derive(Debug, Default)]
pub struct State {
    pub shown: Shown,
    /// Of the last build; while there are any, what is served is older.
    pub problems: Vec<Problem>,
}

impl State {
    /// What a page of the build `since` has to do.
    pub fn update(&self, page: &Page, since: u64) -> Update {
        match self.problems.is_empty() {
            true => self.shown.update(page, since),
            false => Update::Errors { errors: self.problems.clone(), is_served: self.shown.snapshot.is_some() },
        }
    }
}

impl Site {
    pub fn new(root: PathBuf, guard: Guard, heard: UnboundedSender<Heard>) -> Self {
        Site { root, guard: ArcSwap::from_pointee(guard), tabs: Tabs::default(), heard, state: Mutex::default() }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A tower service for one connection.
#[derive(Clone)]
pub struct Service {
    pub site: Arc<Site>,
    pub handler: Handler,
    /// The same with an application behind it, if there is one.
    pub application: Option<Gateway>,
}

impl tower::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

impl Service {
    async fn answer(mut self, request: Request<Incoming>) -> Response<Body> {
        let verdict = self.site.guard.load().judge(request.uri(), request.headers());
        if let Verdict::Refuse { why, origin } = verdict {
            // Nobody listens any more while the server stops.
            origin.into_iter().for_each(|origin| drop(self.site.heard.send(Heard::Refused(origin))));
            return text(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", why);
        }
        let is_shared = matches!(verdict, Verdict::Share(_));
        let own = request.uri().path().strip_prefix(BASE).map(str::to_owned);
        let mut response = match own {
            _ if is_shared && asks_first(&request) => permission(),
            Some(what) => self.own(&what, request).await,
            None => self.site_answer(request).await,
        };
        match verdict {
            Verdict::Share(origin) => {
                response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
            }
            Verdict::Show => {
                response.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
            }
            Verdict::Answer | Verdict::Refuse { .. } => {}
        }
        response
    }

    async fn site_answer(&mut self, mut request: Request<Incoming>) -> Response<Body> {
        let (build, has_build) = {
            let state = self.site.state();
            (state.shown.build, state.shown.snapshot.is_some())
        };
        let wants_page = request
            .headers()
            .get(ACCEPT)
            .is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")));
        let mut response = match &mut self.application {
            Some(application) => {
                // What a page needs changes with the build, of which the application's tags and times know nothing.
                if wants_page {
                    request.headers_mut().remove(IF_NONE_MATCH);
                    request.headers_mut().remove(IF_MODIFIED_SINCE);
                }
                let Ok(response) = tower::Service::call(application, request).await;
                insert::pass(response, &head())
            }
            None if has_build || !wants_page => {
                let Ok(response) = tower::Service::call(&mut self.handler, request).await;
                response.map(|body| body.map_err(Into::into).boxed_unsync())
            }
            // The page's script shows why there is none.
            None => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/html; charset=utf-8",
                format!(
                    "<!doctype html><meta charset=\"utf-8\"><title>The build failed</title>{}<body></body>\n",
                    head()
                ),
            ),
        };
        if let Ok(value) = HeaderValue::try_from(format!("build;desc=\"{build}\"")) {
            response.headers_mut().append(SERVER_TIMING, value);
        }
        response
    }

    async fn own(&self, what: &str, request: Request<Incoming>) -> Response<Body> {
        let is_own = request.headers().contains_key(OWN);
        match (request.method(), what) {
            (&Method::GET, "client.js") => text(StatusCode::OK, "text/javascript; charset=utf-8", CLIENT.to_owned()),
            (&Method::GET, "manifest.json") => self.manifest(request.headers()),
            (&Method::GET, "events") => self.events(request.uri().query().unwrap_or_default()),
            (&Method::POST, "open") if is_own => match read::<Place>(request).await {
                Ok(place) => self.open(&place),
                Err(refusal) => refusal,
            },
            (&Method::POST, "error") if is_own => match read::<Thrown>(request).await {
                Ok(thrown) => self.throw(&thrown),
                Err(refusal) => refusal,
            },
            _ => text(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "there is nothing here\n".to_owned()),
        }
    }

    /// What is served, as an output folder's manifest has it. Its tag is the number of the build, which pages that are made from it give to
    /// their script.
    fn manifest(&self, headers: &HeaderMap) -> Response<Body> {
        let state = self.site.state();
        let Some(snapshot) = &state.shown.snapshot else {
            let why = "nothing could be built yet\n".to_owned();
            return text(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", why);
        };
        let tag = format!("\"{}\"", state.shown.build);
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut response = match known.flat_map(|tags| tags.split(',')).any(|known| known.trim() == tag) {
            true => {
                let mut same = text(StatusCode::NOT_MODIFIED, "application/json", String::new());
                same.headers_mut().remove(CONTENT_LENGTH);
                same
            }
            false => text(StatusCode::OK, "application/json", snapshot.manifest.to_json()),
        };
        drop(state);
        response.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
        if let Ok(tag) = HeaderValue::try_from(tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }

    /// The line on which a page hears of changes, as <https://html.spec.whatwg.org/#server-sent-events> has it.
    fn events(&self, query: &str) -> Response<Body> {
        let (mut page, mut since) = (Page::Foreign, 0);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "page" => page = Page::Own(value.into_owned()),
                "build" => since = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        let line = {
            let state = self.site.state();
            // Of what build a page is that another server made, only that server could have said.
            if page == Page::Foreign && since == 0 {
                since = state.shown.build;
            }
            if let (Some(_), Page::Own(url)) = (&self.application, &page)
                && !state.shown.has_page(url)
            {
                page = Page::Foreign;
            }
            let first = state.update(&page, since);
            let build = if matches!(first, Update::Errors { .. }) { since } else { state.shown.build };
            self.site.tabs.open(page, build, &first)
        };
        let body = BodyExt::boxed_unsync(StreamBody::new(stream::unfold(line, |mut line: Subscription| async move {
            let bytes = match tokio::time::timeout(PULSE, line.receiver.recv()).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return None,
                Err(_) => Bytes::from_static(b":\n\n"),
            };
            Some((Ok(Frame::data(bytes)), line))
        })));
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        response
    }

    fn open(&self, place: &Place) -> Response<Body> {
        let path = crate::fs::normalize(&self.site.root.join(&place.file));
        if !path.starts_with(&self.site.root) || !path.is_file() {
            let why = format!("`{}` is none of the site's files\n", place.file);
            return text(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", why);
        }
        match editor::open(&self.site.root, &place.file, place.line, place.column) {
            Ok(()) => text(StatusCode::OK, "text/plain; charset=utf-8", "opened\n".to_owned()),
            Err(error) => {
                let help = if let Error::Usage { help, .. } = &error { help.as_str() } else { "" };
                text(StatusCode::NOT_IMPLEMENTED, "text/plain; charset=utf-8", format!("{error}: {help}\n"))
            }
        }
    }

    fn throw(&self, thrown: &Thrown) -> Response<Body> {
        let problem = {
            let state = self.site.state();
            runtime::trace(&self.site.root, state.shown.snapshot.as_ref(), thrown)
        };
        let told = serde_json::to_string(&problem).unwrap_or_default();
        let _ = self.site.heard.send(Heard::Thrown(problem));
        text(StatusCode::OK, "application/json", told)
    }
}

/// Whether a browser asks if it may send a request: <https://fetch.spec.whatwg.org/#cors-preflight-fetch>.
fn asks_first(request: &Request<Incoming>) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn permission() -> Response<Body> {
    let mut response = text(StatusCode::NO_CONTENT, "text/plain", String::new());
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_TYPE);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, x-fingerpost"));
    response
}

/// What every page has first in its head.
pub fn head() -> String {
    format!("<script src=\"{BASE}client.js\"></script>")
}

#[derive(Debug, Deserialize)]
struct Place {
    /// Below the root.
    file: String,
    line: usize,
    column: usize,
}

async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Response<Body>> {
    let refuse = |why: String| text(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", format!("{why}\n"));
    let body = Limited::new(request.into_body(), LONGEST).collect().await.map_err(|error| refuse(error.to_string()))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| refuse(error.to_string()))
}

fn text(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, NO_STORE);
    response
}
