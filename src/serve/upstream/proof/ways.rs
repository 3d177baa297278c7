//! Ways on which an application is reached, and what becomes of a connection.

use super::*;

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
    // It is named once: a request for two hosts would be refused.
    assert_eq!((answer.status(), answer.header("via")), ("502", Some("2.0 fingerpost")));
    inner.stopped().await;
    outer.stopped().await;
}
