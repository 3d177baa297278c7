//! A bucket inside this process: an S3 server over a folder, on a port of its own, for a publish that leaves the machine alone.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
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

impl Bucket {
    /// Serves a bucket that lies in `folder`, which has to exist; only who has the credentials gets in.
    pub async fn start(folder: &Path) -> Result<Self> {
        Bucket::start_behind(folder, |_, _| None).await
    }

    /// As [`Bucket::start`], with a gate that sees each request's method and path first and may answer in the bucket's place.
    pub async fn start_behind(
        folder: &Path,
        gate: impl Fn(&Method, &str) -> Option<Answer> + Send + Sync + 'static,
    ) -> Result<Self> {
        let name = "site".to_owned();
        let (access_key, secret_key) = (random(), random());
        let path = folder.join(&name);
        std::fs::create_dir_all(&path).map_err(Error::io("create the folder", &path))?;
        let files = s3s_fs::FileSystem::new(folder)
            .map_err(|error| Error::io("open the bucket", folder)(std::io::Error::other(format!("{error:?}"))))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(access_key.clone(), secret_key.clone()));
        let address = (Ipv4Addr::LOCALHOST, 0);
        let listen = |source| Error::Listen { address: "127.0.0.1:0".to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(listen)?);
        let server = tokio::spawn(accept(listener, service.build(), Arc::new(gate)));
        Ok(Bucket { endpoint, name, access_key, secret_key, server })
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Gate = dyn Fn(&Method, &str) -> Option<Answer> + Send + Sync;

/// Connections end with this task, which owns them.
async fn accept(listener: TcpListener, service: S3Service, gate: Arc<Gate>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        while connections.try_join_next().is_some() {}
        let (service, gate) = (service.clone(), gate.clone());
        let answer = service_fn(move |request: Request<Incoming>| {
            let refusal = gate(request.method(), request.uri().path());
            let service = service.clone();
            async move {
                match refusal {
                    Some((status, body)) => {
                        let mut response = Response::new(s3s::Body::from(body.to_owned()));
                        *response.status_mut() = status;
                        Ok(response)
                    }
                    None => hyper::service::Service::call(&service, request).await,
                }
            }
        });
        connections.spawn(async move {
            // A connection's failure is its client's to notice.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// 32 hex digits that nobody else on this machine can guess: the standard library seeds its hashers from the system.
fn random() -> String {
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half())
}
