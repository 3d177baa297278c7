//! Applications that answer late, in part, or not at all.

use super::*;

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
