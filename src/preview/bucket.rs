//! A bucket inside this process: an S3 server over a folder, on a port of its own, for a publish that leaves the machine alone.

use std::collections::HashMap;
use std::future::ready;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::error::{Error, Result};

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Bucket {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    pub name: String,
    pub access_key: String,
    pub secret_key: String,
    server: JoinHandle<()>,
}

/// A status and a body in place of the bucket's own answer.
pub type Answer = (StatusCode, &'static str);

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The bucket does what it asks for, and answers.
    Served,
    /// The bucket does it, whatever the request's condition.
    ServedAnyway,
    /// The bucket does nothing.
    Lost(Reply),
    /// The bucket does it, but its answer is lost.
    Done(Reply),
    /// The bucket does it, and half of its answer's body arrives.
    Half(Reply),
}

/// What a client gets in place of the bucket's own answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Answer(StatusCode, &'static str),
    /// The connection is reset.
    Reset,
    /// Nothing, ever.
    Silence,
}

impl Bucket {
    /// Serves a bucket that lies in `folder`, which has to exist; only who has the credentials gets in.
    pub async fn start(folder: &Path) -> Result<Self> {
        Bucket::start_behind(folder, |_, _| None).await
    }

    /// As [`Bucket::start`], but everybody may read, as in a bucket that is a website: pages elsewhere use what is in it.
    pub async fn start_readable(folder: &Path) -> Result<Self> {
        Bucket::start_for(folder, Readers::Everybody, |_| ready(Fate::Served)).await
    }

    /// As [`Bucket::start`], with a gate that sees each request's method and path first and may answer in the bucket's place.
    pub async fn start_behind(
        folder: &Path,
        gate: impl Fn(&Method, &str) -> Option<Answer> + Send + Sync + 'static,
    ) -> Result<Self> {
        Bucket::start_unreliable(folder, move |request| match gate(&request.method, request.uri.path()) {
            Some((status, body)) => ready(Fate::Lost(Reply::Answer(status, body))),
            None => ready(Fate::Served),
        })
        .await
    }

    /// As [`Bucket::start`], with a fate for each request, which may be long in coming.
    pub async fn start_unreliable<F: Future<Output = Fate> + Send + 'static>(
        folder: &Path,
        fate: impl Fn(&request::Parts) -> F + Send + Sync + 'static,
    ) -> Result<Self> {
        Bucket::start_for(folder, Readers::Owner, fate).await
    }

    async fn start_for<F: Future<Output = Fate> + Send + 'static>(
        folder: &Path,
        readers: Readers,
        fate: impl Fn(&request::Parts) -> F + Send + Sync + 'static,
    ) -> Result<Self> {
        let name = "site".to_owned();
        let (access_key, secret_key) = (random(), random());
        let path = folder.join(&name);
        std::fs::create_dir_all(&path).map_err(Error::io("create the folder", &path))?;
        let files = s3s_fs::FileSystem::new(folder)
            .map_err(|error| Error::io("open the bucket", folder)(io::Error::other(format!("{error:?}"))))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(access_key.clone(), secret_key.clone()));
        if readers == Readers::Everybody {
            service.set_access(EverybodyReads);
        }
        let address = (Ipv4Addr::LOCALHOST, 0);
        let listen = |source| Error::Listen { address: "127.0.0.1:0".to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(listen)?);
        let fate: Box<Oracle> = Box::new(move |request| fate(request).boxed());
        let gate = Gate { folder: folder.to_owned(), readers, service: service.build(), fate, turns: Mutex::default() };
        let server = tokio::spawn(accept(listener, Arc::new(gate)));
        Ok(Bucket { endpoint, name, access_key, secret_key, server })
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Connections end with this task, which owns them.
async fn accept(listener: TcpListener, gate: Arc<Gate>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        while connections.try_join_next().is_some() {}
        // A body's end would wait for the client to acknowledge what came before it.
        let _ = stream.set_nodelay(true);
        let gate = gate.clone();
        // A second handle to the connection, which is reset if it is closed so.
        let Ok(socket) = SockRef::from(&stream).try_clone().map(Arc::new) else { continue };
        let answer = service_fn(move |request| {
            let (gate, socket) = (gate.clone(), socket.clone());
            async move {
                gate.answer(request).await.inspect_err(|_| {
                    let _ = socket.set_linger(Some(Duration::ZERO));
                })
            }
        });
        connections.spawn(async move {
            // A connection's failure is its client's to notice.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

type Oracle = dyn Fn(&request::Parts) -> BoxFuture<'static, Fate> + Send + Sync;

/// Who may read what is in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readers {
    Owner,
    Everybody,
}

/// Whoever has no credentials may get objects, and nothing else.
struct EverybodyReads;

impl S3Access for EverybodyReads {
    // What the trait's macro makes of an `async fn`.
    fn check<'s, 'c, 'd, 'f>(&'s self, context: &'c mut S3AccessContext<'d>) -> BoxFuture<'f, S3Result<()>>
    where
        's: 'f,
        'c: 'f,
        'd: 'f,
        Self: 'f,
    {
        let may = context.credentials().is_some() || matches!(context.s3_op().name(), "GetObject" | "HeadObject");
        ready(if may { Ok(()) } else { Err(s3s::s3_error!(AccessDenied, "no credentials")) }).boxed()
    }
}

struct Gate {
    folder: PathBuf,
    readers: Readers,
    service: S3Service,
    fate: Box<Oracle>,
    /// By key: what is served compares and writes in two steps, so that of two conditional writes at once both might happen.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Gate {
    /// A failure resets the connection.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<s3s::Body>, io::Error> {
        let (parts, body) = request.into_parts();
        let fate = (self.fate)(&parts).await;
        let reply = |reply| async move {
            match reply {
                Reply::Answer(status, body) => {
                    let mut response = Response::new(s3s::Body::from(body.to_owned()));
                    *response.status_mut() = status;
                    Ok(response)
                }
                Reply::Reset => Err(io::ErrorKind::ConnectionReset.into()),
                Reply::Silence => std::future::pending().await,
            }
        };
        match fate {
            Fate::Lost(lost) => reply(lost).await,
            Fate::Served => self.serve(Request::from_parts(parts, body)).await,
            Fate::ServedAnyway if parts.method == Method::PUT => {
                let path = self.folder.join(parts.uri.path().trim_start_matches('/'));
                let body = BodyExt::collect(body).await.map_err(io::Error::other)?.to_bytes();
                crate::fs::write(&path, &body).map_err(io::Error::other)?;
                Ok(Response::new(s3s::Body::empty()))
            }
            Fate::ServedAnyway => self.serve(Request::from_parts(parts, body)).await,
            Fate::Done(lost) => {
                self.serve(Request::from_parts(parts, body)).await?;
                reply(lost).await
            }
            Fate::Half(rest) => {
                let (head, body) = self.serve(Request::from_parts(parts, body)).await?.into_parts();
                let body = BodyExt::collect(body).await.map_err(io::Error::other)?.to_bytes();
                let half = stream::iter([Ok(Frame::data(body.slice(..body.len() / 2)))]);
                let rest = stream::once(async move { reply(rest).await.map(|_| Frame::data(Bytes::new())) });
                Ok(Response::from_parts(head, s3s::Body::http_body_unsync(StreamBody::new(half.chain(rest)))))
            }
        }
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<Response<s3s::Body>, io::Error> {
        let is_conditional = request.method() == Method::PUT
            && (request.headers().contains_key(IF_MATCH) || request.headers().contains_key(IF_NONE_MATCH));
        let turn = is_conditional.then(|| {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.entry(request.uri().path().to_owned()).or_default().clone()
        });
        let _turn = match &turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let mut response = hyper::service::Service::call(&self.service, request)
            .await
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        if self.readers == Readers::Everybody {
            // What a bucket's owner sets for pages of other origins.
            for name in [ACCESS_CONTROL_ALLOW_ORIGIN, HeaderName::from_static("timing-allow-origin")] {
                response.headers_mut().insert(name, HeaderValue::from_static("*"));
            }
        }
        Ok(response)
    }
}

/// 32 hex digits that nobody else on this machine can guess: the standard library seeds its hashers from the system.
fn random() -> String {
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half())
}
