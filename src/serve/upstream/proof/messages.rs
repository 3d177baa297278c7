//! What passes between a client and an application, and what does not.

use super::*;

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
        ("GET /x HTTP/1.1\r\nhost: a:b\r\n\r\n", "400"),
        ("GET http://user@a/x HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
        ("GET /x HTTP/1.1\r\nhost: a\r\ncdn-loop: fingerpost\r\n\r\n", "200"),
    ] {
        let mut client = Client::connect(running.address).await;
        client.send(request).await;
        assert_eq!(client.answer(false).await.status(), status, "{request}");
    }
    heads.recv().await.unwrap();
    // A target that names another host is asked of the application as that host's, and nobody else.
    let mut client = Client::connect(running.address).await;
    client.send("GET http://evil.example:8443/x HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.answer(false).await.status(), "200");
    let asked = heads.recv().await.unwrap();
    assert!(asked.head.starts_with("get /x http/1.1\r\n"), "{}", asked.head);
    for name in ["host", "x-forwarded-host"] {
        assert_eq!(asked.header(name), Some("evil.example:8443"), "{name}");
    }
    assert_eq!(asked.header("forwarded"), Some("for=127.0.0.1;host=\"evil.example:8443\";proto=http"));
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
        let mut unpack = coding.map(|coding| crate::serve::upstream::conversion::Unpack::new(coding).unwrap());
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
