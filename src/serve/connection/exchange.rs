//! A request on its way to the service, and the answer on its way back: told to the connection's [`Vitals`], and without a copy.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use hyper::body::{Body as _, Incoming};
use pin_project_lite::pin_project;
use tower::Service;

use super::held::Held;
use super::sendfile::{FileFrames, Files};
use super::vitals::Vitals;
use crate::serve::body::Body;
use crate::serve::handler::error;
use crate::serve::tunnel::Switch;
use crate::serve::unheard::Unheard;

/// What can go wrong with a body, as hyper takes it.
pub type BodyError = Box<dyn StdError + Send + Sync>;

/// A service as hyper calls it, on one connection.
#[derive(Debug)]
pub struct Exchange<S> {
    /// hyper calls it through a shared reference, and from one task.
    service: RefCell<S>,
    connection: Arc<Connection>,
    /// Requests so far.
    requests: Cell<u64>,
}

#[derive(Debug)]
struct Connection {
    vitals: Arc<Vitals>,
    passage: Passage,
    /// For what the connection may become, where it can become something.
    switch: Option<Switch>,
}

/// What of a body goes past hyper, which hands on slices that stand for it.
#[derive(Debug)]
pub enum Passage {
    Nothing,
    /// Files, which the connection sends by itself.
    Files(Arc<Files>),
    /// What lies in memory, which the connection keeps until it is written.
    Held(Arc<Held>),
}

impl<S> Exchange<S> {
    pub fn new(service: S, vitals: Arc<Vitals>, passage: Passage, switch: Option<Switch>) -> Self {
        let connection = Arc::new(Connection { vitals, passage, switch });
        Exchange { service: RefCell::new(service), connection, requests: Cell::new(0) }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Exchange<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    type Response = Response<Outgoing<B>>;
    type Error = Infallible;
    type Future = Answer<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(switch) = self.connection.switch.as_ref().filter(|_| request.headers().contains_key(UPGRADE)) {
            request.extensions_mut().insert(switch.clone());
        }
        let number = self.requests.get() + 1;
        self.requests.set(number);
        let is_too_long = self.connection.vitals.is_too_long(number);
        // Of one that is too long, the rest is yet to come.
        self.connection.vitals.begins(is_too_long || !request.body().is_end_stream());
        let turn = Turn { connection: Arc::clone(&self.connection), is_ours: true };
        if is_too_long {
            let unheard = Unheard { status: StatusCode::URI_TOO_LONG, version: Version::HTTP_11, took: Duration::ZERO };
            unheard.tell(&*self.service.borrow());
            return Answer { answer: None, turn: Some(turn) };
        }
        // A service of this server is always ready: there is nobody to wait for it between two requests of a connection.
        let answer = self.service.borrow_mut().call(request);
        Answer { answer: Some(answer), turn: Some(turn) }
    }
}

/// Whose turn it is.
#[derive(Debug)]
struct Turn {
    connection: Arc<Connection>,
    is_ours: bool,
}

impl Turn {
    fn is(&mut self, ours: bool) {
        if self.is_ours != ours {
            self.is_ours = ours;
            let vitals = &self.connection.vitals;
            if ours { vitals.awaits_more() } else { vitals.answers() }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.is(false);
        self.connection.vitals.ends();
    }
}

pin_project! {
    /// The service's answer, still to come; none to a target that is too long.
    pub struct Answer<F> {
        #[pin]
        answer: Option<F>,
        turn: Option<Turn>,
    }
}

impl<F, B> Future for Answer<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: http_body::Body + 'static,
{
    type Output = Result<Response<Outgoing<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.answer.as_pin_mut() {
            Some(answer) => Some(ready!(answer.poll(cx))?),
            None => None,
        };
        let mut turn = this.turn.take();
        if let Some(turn) = &mut turn {
            turn.connection.vitals.has_answered();
            turn.is(false);
        }
        let Some(response) = response else { return Poll::Ready(Ok(too_long(turn))) };
        Poll::Ready(Ok(response.map(|body| {
            let files = turn.as_ref().and_then(|turn| match &turn.connection.passage {
                Passage::Files(files) => Some(files),
                Passage::Nothing | Passage::Held(_) => None,
            });
            Outgoing { source: source(body, files), turn }
        })))
    }
}

/// RFC 9112 section 3. Where the next request begins, nobody has looked.
fn too_long<B>(turn: Option<Turn>) -> Response<Outgoing<B>> {
    let mut response = error(StatusCode::URI_TOO_LONG);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.map(|body| {
        let frames = Box::new(FileFrames::new(body, Arc::default()));
        Outgoing { source: Source::Files { frames }, turn }
    })
}

pin_project! {
    /// The body of an answer, as hyper takes it.
    pub struct Outgoing<B> {
        #[pin]
        source: Source<B>,
        turn: Option<Turn>,
    }
}

pin_project! {
    #[project = SourceProjection]
    enum Source<B> {
        /// Files in it are sent by the connection.
        Files { frames: Box<FileFrames> },
        Frames { #[pin] body: B },
    }
}

/// Only a [`Body`] that no layer has wrapped can be told from what it holds.
fn source<B: 'static>(body: B, files: Option<&Arc<Files>>) -> Source<B> {
    let mut body = Some(body);
    if let Some(files) = files
        && let Some(own) = (&mut body as &mut dyn Any).downcast_mut::<Option<Body>>()
        && own.as_ref().is_some_and(Body::has_file)
        && let Some(own) = own.take()
    {
        return Source::Files { frames: Box::new(FileFrames::new(own, Arc::clone(files))) };
    }
    match body {
        Some(body) => Source::Frames { body },
        // It was taken above, or it is what was put in.
        None => Source::Files { frames: Box::new(FileFrames::new(Body::default(), Arc::default())) },
    }
}

impl<B> http_body::Body for Outgoing<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.project();
        let frame = match this.source.project() {
            SourceProjection::Files { frames } => {
                return Poll::Ready(frames.next_frame().map(|bytes| Ok(Frame::data(bytes))));
            }
            SourceProjection::Frames { body } => body.poll_frame(cx),
        };
        if let Some(turn) = this.turn {
            turn.is(frame.is_pending());
            if let Passage::Held(held) = &turn.connection.passage
                && let Poll::Ready(Some(Ok(frame))) = &frame
                && let Some(data) = frame.data_ref()
            {
                held.add(data);
            }
        }
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Files { frames } => frames.remaining() == 0,
            Source::Frames { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Files { frames } => SizeHint::with_exact(frames.remaining()),
            Source::Frames { body } => body.size_hint(),
        }
    }
}
