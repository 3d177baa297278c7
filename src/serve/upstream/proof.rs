//! A gateway between clients and an application, both of which are written byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
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
    task: JoinHandle<()>,
}

impl App {
    async fn start(script: impl Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let (count, script) = (Arc::clone(&connections), Arc::new(script));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let script = Arc::clone(&script);
                tokio::spawn(async move { script(Client::over(stream)).await });
            }
        });
        App { address, connections, task }
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

#[tokio::test]
async fn what_is_in_no_table_is_asked_of_the_application() {
    let (app, mut heads) = App::answering(
        "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nLocation: /there\r\n\
         Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\r\nok",
    )
    .await;
    let running = serve(upstream(app.address)).await;
    let mut client = Client::connect(running.address).await;

    let ours = client.ask("GET /static/css/a.css", "").await;
    assert_eq!((ours.status(), ours.body.as_slice()), ("200", CSS.as_bytes()));
    let fields = "x-forwarded-for: 1.1.1.1\r\nx-forwarded-proto: https\r\nproxy-authorization: x\r\nte: trailers\r\n\
                  connection: keep-alive, x-mine\r\nx-mine: 1\r\ncookie: s=1\r\n";
    let answer = client.ask("GET /%7Euser/a%2fb?q=%20", fields).await;
    assert_eq!((answer.status(), answer.body.as_slice()), ("201", b"ok".as_slice()));
    assert!(answer.head.contains("set-cookie: a=1\r\nset-cookie: b=2\r\n"), "{}", answer.head);
    assert_eq!((answer.header("location"), answer.header("via")), (Some("/there"), Some("1.1 fingerpost")));
    assert!(answer.header("x-hop").is_none() && answer.header("keep-alive").is_none());

    let asked = heads.recv().await.unwrap();
    assert!(asked.head.starts_with("get /%7euser/a%2fb?q=%20 http/1.1\r\n"), "{}", asked.head);
    for (name, want) in [
        ("host", Some("localhost")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some("localhost")),
        ("forwarded", Some("for=127.0.0.1;host=\"localhost\";proto=http")),
        ("via", Some("1.1 fingerpost")),
        ("cdn-loop", Some("fingerpost")),
        ("te", Some("trailers")),
        ("cookie", Some("s=1")),
        ("proxy-authorization", None),
        ("x-mine", None),
        ("connection", None),
    ] {
        assert_eq!(asked.header(name), want, "{name}: {}", asked.head);
    }

    for target in ["/form", "/static/css/a.css"] {
        client.send(format!("POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na=b")).await;
        assert_eq!(client.answer(false).await.status(), "201");
        let asked = heads.recv().await.unwrap();
        assert!(asked.head.starts_with(&format!("post {target} ")) && asked.body == b"a=b");
    }
    assert_eq!(client.ask("GET /static/css/a.css", "").await.status(), "200");
    assert_eq!(app.connections.load(Ordering::Relaxed), 1, "it was kept");
    running.stopped().await;
}

#[tokio::test]
async fn only_its_own_methods_and_hosts_reach_it() {
    let (app, mut heads) = App::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let running = serve(upstream(app.address)).await;
    for (request, status) in [
        ("CONNECT evil.example:80 HTTP/1.1\r\nhost: evil.example:80\r\n\r\n", "405"),
        ("TRACE / HTTP/1.1\r\nhost: a\r\n\r\n", "405"),
        ("GET /x HTTP/1.1\r\n\r\n", "400"),
        ("GET /x HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "400"),
        ("GET /x HTTP/1.1\r\nhost: a\r\ncdn-loop: fingerpost\r\n\r\n", "200"),
    ] {
        let mut client = Client::connect(running.address).await;
        client.send(request).await;
        assert_eq!(client.answer(false).await.status(), status, "{request}");
    }
    heads.recv().await.unwrap();
    // A target that names another host is asked of the application as that host's, and nobody else.
    let mut client = Client::connect(running.address).await;
    client.send("GET http://evil.example/x HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.answer(false).await.status(), "200");
    let asked = heads.recv().await.unwrap();
    assert!(asked.head.starts_with("get /x http/1.1\r\n"), "{}", asked.head);
    assert_eq!(asked.header("host"), Some("evil.example"));
    running.stopped().await;
}

#[tokio::test]
async fn who_is_trusted_is_believed() {
    let (app, mut heads) = App::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let proxies = Proxies::new(vec!["127.0.0.0/8".parse().unwrap()], config::ProxyHeaders::XForwarded);
    let front = Front { proxies, ..Front::default() };
    let running = serve_with(upstream(app.address), "/", front).await;
    let mut client = Client::connect(running.address).await;
    client.ask("GET /x", "x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\nx-forwarded-host: www.a\r\n").await;
    let asked = heads.recv().await.unwrap();
    for (name, want) in [
        ("x-forwarded-for", "192.0.2.7, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "www.a"),
        ("x-real-ip", "192.0.2.7"),
    ] {
        assert_eq!(asked.header(name), Some(want), "{name}");
    }
    running.stopped().await;
}

#[tokio::test]
async fn bodies_pass_piece_by_piece_both_ways() {
    let (seen, mut sees) = tokio::sync::mpsc::unbounded_channel();
    let (go, gone) = tokio::sync::watch::channel(0);
    let app = App::start(move |mut client: Client| {
        let (seen, mut gone) = (seen.clone(), gone.clone());
        async move {
            let asked = client.answer(true).await;
            assert_eq!(asked.header("transfer-encoding"), Some("chunked"));
            for _ in 0..2 {
                seen.send(chunk(&mut client).await).unwrap();
            }
            assert!(chunk(&mut client).await.is_empty());
            client.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n").await;
            for (count, piece) in ["5\r\nfirst\r\n", "6\r\nsecond\r\n", "0\r\nx-sum: 11\r\n\r\n"].iter().enumerate() {
                gone.wait_for(|seen| *seen >= count).await.unwrap();
                client.send(piece).await;
            }
        }
    })
    .await;
    let running = serve(upstream(app.address)).await;
    let mut client = Client::connect(running.address).await;
    client.send("POST /up HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
    assert_eq!(tokio::time::timeout(PATIENCE, sees.recv()).await.unwrap().unwrap(), b"one");
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    assert_eq!(tokio::time::timeout(PATIENCE, sees.recv()).await.unwrap().unwrap(), b"two");
    assert_eq!(client.answer(true).await.status(), "200");
    assert_eq!(chunk(&mut client).await, b"first");
    go.send_replace(1);
    assert_eq!(chunk(&mut client).await, b"second");
    go.send_replace(2);
    assert!(chunk(&mut client).await.is_empty());
    let trailers = "x-sum: 11\r\n\r\n";
    assert_eq!(client.take(trailers.len()).await, trailers.as_bytes());
    running.stopped().await;
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let (go, gone) = tokio::sync::watch::channel(0);
    let app = App::start(move |mut client: Client| {
        let mut gone = gone.clone();
        async move {
            client.answer(true).await;
            client.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
            for count in 1..=3 {
                client.send(format!("data: {count}\n\n")).await;
                gone.wait_for(|seen| *seen >= count).await.unwrap();
            }
        }
    })
    .await;
    for headers in ["", "accept-encoding: gzip\r\n"] {
        go.send_replace(0);
        let running = serve(upstream(app.address)).await;
        let mut client = Client::connect(running.address).await;
        let answer = client.ask("GET /events", headers).await;
        let coding = answer.header("content-encoding").map(|token| Encoding::of_token(token).unwrap());
        let mut unpack = coding.map(|coding| super::conversion::Unpack::new(coding).unwrap());
        for count in 1..=3 {
            let (mut got, want) = (Vec::new(), format!("data: {count}\n\n"));
            while got.len() < want.len() {
                let data = chunk(&mut client).await;
                got.extend(match &mut unpack {
                    Some(unpack) => unpack.write(&data).unwrap(),
                    None => data,
                });
            }
            assert_eq!(got, want.as_bytes());
            go.send_replace(count);
        }
        running.stopped().await;
    }
}

#[tokio::test]
async fn a_page_is_bound_as_it_comes() {
    let app = App::start(|mut client: Client| async move {
        while let Some(asked) = head(&mut client).await {
            if asked.header("if-none-match").is_some_and(|tags| tags.contains("\"v1\"")) {
                client.send("HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\n\r\n").await;
                continue;
            }
            client
                .send(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 78\r\netag: \"v1\"\r\n\
                     last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\naccept-ranges: bytes\r\n\
                     link: </static/css/a.css>; rel=preload; as=style\r\n\
                     content-security-policy: default-src 'self'; script-src 'none'\r\n\r\n\
                     <link rel=stylesheet href=/stat",
                )
                .await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            client.send("ic/css/a.css><p>no asset: /static/css/a.css</p>").await;
        }
    })
    .await;
    let running = serve(upstream(app.address)).await;
    let mut client = Client::connect(running.address).await;
    let (answer, body) = page(&mut client, "").await;
    let file = site().file_of("css/a.css");
    let integrity = Digest::of(CSS.as_bytes()).integrity();
    assert_eq!(
        String::from_utf8(body).unwrap(),
        format!(
            "<link rel=stylesheet href=\"https://cdn.example.com/{file}\" integrity=\"{}\" crossorigin=\"anonymous\"><p>no asset: \
             /static/css/a.css</p>",
            integrity.as_str()
        )
    );
    let tag = answer.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("w/\"v1~fp"), "{tag}");
    for name in ["content-length", "last-modified", "accept-ranges"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("link").unwrap(), format!("<https://cdn.example.com/{file}>; rel=preload; as=style"));
    assert_eq!(
        answer.header("content-security-policy"),
        Some("default-src 'self' https://cdn.example.com/; script-src 'none'")
    );
    let tag = tag.replacen("w/", "W/", 1);
    let again = client.ask("GET /page", &format!("if-none-match: {tag}\r\n")).await;
    assert_eq!((again.status(), again.header("etag")), ("304", Some(tag.to_ascii_lowercase().as_str())));
    let other = tag.replace("~fp", "~fp0");
    let (answer, _) = page(&mut client, &format!("if-none-match: {other}\r\n")).await;
    assert_eq!(answer.status(), "200", "a page that was bound to another release is another");

    // The head of an answer without its body is that of the one with it.
    client.send("HEAD /page HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let head = client.answer(true).await;
    assert_eq!((head.status(), head.header("content-length"), head.header("last-modified")), ("200", None, None));
    running.stopped().await;
}

#[tokio::test]
async fn codings_are_undone_and_made() {
    let html = "<img src=/static/css/a.css>".repeat(40);
    for packed in Encoding::ALL {
        let body = packed.compress(html.as_bytes()).unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-encoding: {packed}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (app, mut heads) = App::answering([head.into_bytes(), body].concat()).await;
        let running = serve(upstream(app.address)).await;
        let mut client = Client::connect(running.address).await;
        let want =
            html.replace("/static/css/a.css", &format!("\"https://cdn.example.com/{}\"", site().file_of("css/a.css")));
        for (accept, coding) in [("", None), ("gzip;q=0.5, br, snappy", Some(Encoding::Brotli)), ("identity", None)] {
            let (answer, body) = page(&mut client, &format!("accept-encoding: {accept}\r\n")).await;
            assert_eq!(answer.header("content-encoding"), coding.map(Encoding::token), "{accept}");
            assert_eq!(answer.header("vary"), Some("accept-encoding"));
            let body = match coding {
                Some(coding) => coding.decompress(&body, want.len()).unwrap(),
                None => body,
            };
            assert_eq!(String::from_utf8(body).unwrap(), want);
            let asked = heads.recv().await.unwrap();
            let known = if accept.contains("br") { "br, gzip" } else { "identity" };
            assert_eq!(asked.header("accept-encoding"), Some(known));
        }
        running.stopped().await;
    }
}

#[tokio::test]
async fn what_may_not_be_read_passes_unchanged() {
    let html = b"<img src=/static/css/a.css>\xe9<script>var a = '\xe9'</script>";
    let bound = html.len() + 60;
    for (fields, is_bound) in [
        ("content-type: text/html; charset=iso-8859-1", true),
        ("content-type: text/html", true),
        ("content-type: text/html; charset=utf-16", false),
        ("content-type: text/html; charset=unheard-of", false),
        ("content-type: text/html\r\ncontent-encoding: compress", false),
        ("content-type: text/html\r\ncache-control: private, no-transform", false),
        ("content-type: text/plain", false),
        ("x-no: type", false),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {}\r\n\r\n", html.len());
        let (app, _heads) = App::answering([head.as_bytes(), html].concat()).await;
        let running = serve(upstream(app.address)).await;
        let (_, body) = page(&mut Client::connect(running.address).await, "").await;
        assert_eq!(body != html, is_bound, "{fields}");
        if is_bound {
            assert!(body.len() > bound / 2 && body.ends_with(b"\xe9<script>var a = '\xe9'</script>"), "{body:?}");
        }
        running.stopped().await;
    }
}

#[tokio::test]
async fn a_connection_becomes_what_both_sides_agree_on() {
    let app = App::start(|mut client: Client| async move {
        let asked = client.answer(true).await;
        if asked.header("upgrade") != Some("websocket") {
            return client.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n").await;
        }
        assert_eq!((asked.header("connection"), asked.header("sec-websocket-key")), (Some("upgrade"), Some("x")));
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: y\r\n\r\nhello")
            .await;
        let said = client.take(5).await;
        client.send(said).await;
        assert!(client.is_closed().await);
    })
    .await;
    let running = serve(upstream(app.address)).await;
    let mut client = Client::connect(running.address).await;
    let fields = "connection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n";
    // What follows the request at once belongs to what comes.
    client.send(format!("GET /socket HTTP/1.1\r\nhost: a\r\n{fields}\r\nwo")).await;
    let answer = client.answer(true).await;
    assert_eq!((answer.status(), answer.header("upgrade")), ("101", Some("websocket")));
    assert_eq!(answer.header("sec-websocket-accept"), Some("y"));
    assert_eq!(client.take(5).await, b"hello");
    client.send("rld").await;
    assert_eq!(client.take(5).await, b"world");
    drop(client);
    let mut client = Client::connect(running.address).await;
    assert_eq!(client.ask("GET /socket", "").await.status(), "502", "nobody has asked for it");
    running.stopped().await;
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_tunnels() {
    let app = App::start(|mut client: Client| async move {
        client.answer(true).await;
        client.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n").await;
        assert!(client.is_closed().await);
    })
    .await;
    let running = serve(upstream(app.address)).await;
    let mut client = Client::connect(running.address).await;
    let answer = client.ask("GET /socket", "connection: upgrade\r\nupgrade: websocket\r\n").await;
    assert_eq!(answer.status(), "101");
    running.stopped().await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_request_is_repeated_where_that_changes_nothing() {
    for (line, status) in [("GET /x", "200"), ("DELETE /x", "200"), ("POST /x", "502")] {
        let count = AtomicUsize::new(0);
        // The first connection is closed when its request has come.
        let app = App::start(move |mut client: Client| {
            let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                client.answer(true).await;
                if !is_first {
                    client.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
                }
            }
        })
        .await;
        let running = serve(upstream(app.address)).await;
        let answer = Client::connect(running.address).await.ask(line, "").await;
        assert_eq!(answer.status(), status, "{line}");
        running.stopped().await;
    }
}

#[tokio::test]
async fn what_is_not_answered_is_said_with_the_sites_own_page() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let running = serve(upstream(nobody)).await;
    let mut client = Client::connect(running.address).await;
    // Each is tried twice, and the fifth failure is the last.
    for status in ["502", "502", "503", "503"] {
        let answer = client.ask("GET /x", "").await;
        assert_eq!(answer.status(), status);
        assert_eq!((answer.header("cache-control"), answer.header("etag")), (Some("no-store"), None));
        match status {
            "502" => assert_eq!(answer.body, b"<p>not now"),
            _ => assert_eq!(answer.header("retry-after"), Some("1")),
        }
    }
    assert_eq!(client.ask("GET /static/css/a.css", "").await.status(), "200", "what is here is served");
    running.stopped().await;

    // Until whoever waits for it gives up.
    let silent = App::start(|mut client: Client| async move {
        client.answer(true).await;
        client.rest().await;
    })
    .await;
    let settings = config::Upstream { timeout: Duration::from_millis(100), ..upstream(silent.address) };
    let running = serve(settings).await;
    let answer = Client::connect(running.address).await.ask("GET /x", "").await;
    assert_eq!((answer.status(), answer.body.as_slice()), ("504", b"<p>too late".as_slice()));
    // It is the client that is waited for.
    let mut client = Client::connect(running.address).await;
    client.send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabc").await;
    let answer = client.answer(false).await;
    assert_eq!((answer.status(), answer.header("connection")), ("408", Some("close")));
    running.stopped().await;
}

#[tokio::test]
async fn an_answer_that_ends_early_is_no_whole_one() {
    for (answer, settings) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", Duration::from_secs(60)),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", Duration::from_secs(60)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", Duration::from_millis(100)),
    ] {
        let app = App::start(move |mut client: Client| async move {
            client.answer(true).await;
            client.send(answer).await;
            if settings < Duration::from_secs(1) {
                assert!(client.is_closed().await);
            }
        })
        .await;
        let running = serve(config::Upstream { timeout: settings, ..upstream(app.address) }).await;
        let mut client = Client::connect(running.address).await;
        client.send("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let all = String::from_utf8(client.rest().await).unwrap();
        assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.contains("abc"), "{all}");
        assert!(!all.ends_with("0\r\n\r\n"), "the connection ends, and not the body: {all}");
        running.stopped().await;
    }
}

#[tokio::test]
async fn a_client_may_wait_to_be_asked_for_its_body() {
    let (app, mut heads) = App::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let running = serve(upstream(app.address)).await;
    let mut client = Client::connect(running.address).await;
    client.send("PUT /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n").await;
    assert_eq!(client.answer(true).await.status(), "100");
    client.send("abc").await;
    assert_eq!(client.answer(false).await.status(), "200");
    let asked = heads.recv().await.unwrap();
    assert_eq!((asked.body.as_slice(), asked.header("expect")), (b"abc".as_slice(), None));
    running.stopped().await;
}

#[tokio::test]
async fn an_application_may_listen_on_a_socket_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let app = tokio::spawn(async move {
        let mut client = Client::over(listener.accept().await.unwrap().0);
        let head = client.answer(true).await;
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        head.header("host").unwrap().to_owned()
    });
    let running = serve(config::Upstream::new(Origin::Unix(path))).await;
    let answer = Client::connect(running.address).await.ask("GET /x", "").await;
    assert_eq!((answer.status(), answer.body.as_slice()), ("200", b"ok".as_slice()));
    assert_eq!(app.await.unwrap(), "localhost");
    running.stopped().await;
}

#[tokio::test]
async fn an_application_may_speak_http_2() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let inner = serve(upstream(nobody)).await;
    let origin: Origin = format!("h2c://{}", inner.address).parse().unwrap();
    let mut settings = config::Upstream::new(origin);
    settings.rewrite = false;
    let outer = serve_with(settings, "/", Front::default()).await;
    let mut client = Client::connect(outer.address).await;
    // It is in both tables, and asked for by a method that no table answers: the inner one says so.
    let answer = client.ask("GET /502.html", "").await;
    assert_eq!(answer.status(), "200");
    let answer = client.ask("PUT /y", "").await;
    assert_eq!((answer.status(), answer.header("via")), ("502", Some("2.0 fingerpost")));
    inner.stopped().await;
    outer.stopped().await;
}

/// What reaches the application is one request or none, whatever is hidden in it (RFC 9112 section 11.2).
#[tokio::test]
async fn nothing_is_smuggled() {
    let (app, mut heads) = App::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let running = serve(upstream(app.address)).await;
    let hidden = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";
    for request in [
        format!(
            "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
        ),
        format!(
            "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{hidden}"
        ),
        format!("POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n{hidden}"),
        format!("POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 44\r\n\r\n{hidden}"),
        format!("GET /x HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n{hidden}"),
        format!("GET /x HTTP/1.1\nhost: a\n\n{hidden}"),
        format!("GET /x HTTP/1.1\r\nhost: a\r\nx: y\n\r\n{hidden}"),
        format!("POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\n\n{hidden}"),
    ] {
        let mut client = Client::connect(running.address).await;
        client.send(&request).await;
        let all = String::from_utf8(client.rest().await).unwrap();
        assert!(all.is_empty() || all.starts_with("HTTP/1.1 400 "), "{request:?}: {all}");
        assert_eq!(all.matches("HTTP/1.1 ").count(), usize::from(!all.is_empty()), "{request:?}: {all}");
        while let Ok(asked) = heads.try_recv() {
            assert!(!asked.head.contains("hidden"), "{request:?}");
        }
    }
    running.stopped().await;
}
