//! A gateway between clients and an application, both of which are written byte by byte.

mod connections;
mod failures;
mod messages;
mod pages;
mod ways;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::{Gateway, Upstream};
use crate::config::{self, Origin};
use crate::encoding::Encoding;
use crate::environment::Environment;
use crate::fingerprint::Digest;
use crate::serve::client::Proxies;
use crate::serve::fixture::{Answer, Client, PATIENCE, Site};
use crate::serve::handler::Front;
use crate::serve::{Handle, Handler, Limits, Policy, Server, Sites};

const CSS: &str = "a { color: red }";

fn site() -> Site {
    let site = Site::new().asset("css/a.css", CSS).page("502.html", "<p>not now").page("504.html", "<p>too late");
    site.write_manifest();
    site
}

/// What an application does with a connection. It ends it when it returns.
trait Script: Fn(Client) -> Self::Playing + Send + Sync + 'static {
    type Playing: Future<Output = ()> + Send;
}

impl<F: Fn(Client) -> P + Send + Sync + 'static, P: Future<Output = ()> + Send> Script for F {
    type Playing = P;
}

struct App {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// How many of them have ended.
    ended: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl App {
    async fn start(script: impl Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let (count, script) = (Arc::clone(&connections), Arc::new(script));
        let (ends, ended) = watch::channel(0);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (script, ends) = (Arc::clone(&script), ends.clone());
                tokio::spawn(async move {
                    script(Client::over(stream)).await;
                    ends.send_modify(|ended| *ended += 1);
                });
            }
        });
        App { address, connections, ended, task }
    }

    /// One that answers each request with these bytes, and tells its heads.
    async fn answering(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> (Self, Heads) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let answer = Arc::new(answer);
        let app = App::start(move |mut client: Client| {
            let (sender, answer) = (sender.clone(), Arc::clone(&answer));
            async move {
                while let Some(head) = head(&mut client).await {
                    let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
                    let body = client.take(length).await;
                    let _ = sender.send(Answer { body, ..head });
                    client.send(answer.as_ref().as_ref()).await;
                }
            }
        })
        .await;
        (app, receiver)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Heads = tokio::sync::mpsc::UnboundedReceiver<Answer>;

/// The head of a request, in lower case; none if there is no other.
async fn head(client: &mut Client) -> Option<Answer> {
    client.has_more().await.then_some(())?;
    Some(client.answer(true).await)
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn stopped(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

fn upstream(app: SocketAddr) -> config::Upstream {
    config::Upstream::new(format!("http://{app}").parse::<Origin>().unwrap())
}

async fn serve(settings: config::Upstream) -> Running {
    serve_with(settings, "https://cdn.example.com/", Front::default()).await
}

async fn serve_with(settings: config::Upstream, base: &str, front: Front) -> Running {
    let mut environment = Environment::new("production");
    environment.asset_base = base.parse().unwrap();
    let policy = Policy { binds_answers: true, ..Policy::default() };
    let sites =
        Sites::load_with(&site().out(), std::slice::from_ref(&environment), Some("production"), &policy).unwrap();
    let handler = Handler::new(Handle::new(sites)).behind(front);
    let gateway = Gateway::new(handler, Arc::new(Upstream::new(settings, "fingerpost").unwrap()));
    let limits = Limits { grace: Duration::from_millis(500), ..Limits::default() };
    let server = Server::bind("127.0.0.1:0").await.unwrap().with_limits(limits);
    let address = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        server.run(|peer| gateway.clone().for_peer(peer), async { drop(stopped.await) }).await;
    });
    Running { address, stop, task }
}

/// The next piece of a body in chunks (RFC 9112 section 7.1); an empty one is the last.
async fn chunk(client: &mut Client) -> Vec<u8> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(client.take(1).await);
    }
    let length = usize::from_str_radix(str::from_utf8(&line).unwrap().trim(), 16).unwrap();
    let data = client.take(length).await;
    if length > 0 {
        client.take(2).await;
    }
    data
}

async fn chunks(client: &mut Client) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let data = chunk(client).await;
        if data.is_empty() {
            assert_eq!(client.take(2).await, b"\r\n");
            return all;
        }
        all.extend(data);
    }
}

async fn page(client: &mut Client, headers: &str) -> (Answer, Vec<u8>) {
    let answer = client.ask("GET /page", headers).await;
    let body = match answer.header("transfer-encoding") {
        Some(_) => chunks(client).await,
        None => answer.body.clone(),
    };
    (answer, body)
}
