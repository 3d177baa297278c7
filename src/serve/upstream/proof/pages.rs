//! Pages that are bound on their way.

use super::*;

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

/// RFC 9110 section 15.4.5.
#[tokio::test]
async fn what_has_not_changed_says_what_the_whole_would() {
    let app = App::start(|mut client: Client| async move {
        while let Some(asked) = head(&mut client).await {
            let answer = match asked.header("if-none-match") {
                Some(_) => "HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\n\r\n".to_owned(),
                None => format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 300\r\netag: \"v1\"\r\n\r\n{}",
                    "x".repeat(300)
                ),
            };
            client.send(answer).await;
        }
    })
    .await;
    for compress in [true, false] {
        let mut settings = upstream(app.address);
        settings.compress = compress;
        let running = serve(settings).await;
        let mut client = Client::connect(running.address).await;
        for accept in ["accept-encoding: gzip\r\n", ""] {
            let (whole, _) = page(&mut client, accept).await;
            let is_packed = compress && !accept.is_empty();
            let tag = if is_packed { "W/\"v1\"" } else { "\"v1\"" };
            let again = client.ask("GET /page", &format!("{accept}if-none-match: {tag}\r\n")).await;
            assert_eq!((whole.status(), again.status()), ("200", "304"));
            assert_eq!(whole.header("etag"), Some(tag.to_ascii_lowercase().as_str()));
            assert_eq!(whole.header("vary"), compress.then_some("accept-encoding"));
            for name in ["etag", "vary"] {
                assert_eq!(again.header(name), whole.header(name), "{name} {compress} {accept}");
            }
        }
        running.stopped().await;
    }
    let (app, _heads) =
        App::answering("HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\ncontent-type: image/png\r\n\r\n").await;
    let running = serve(upstream(app.address)).await;
    let mut client = Client::connect(running.address).await;
    let image = client.ask("GET /page", "accept-encoding: gzip\r\nif-none-match: W/\"v1\"\r\n").await;
    assert_eq!((image.header("etag"), image.header("vary")), (Some("\"v1\""), None));
    running.stopped().await;
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
