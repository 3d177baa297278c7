//! Connections to an application: used again, and not when they can't be.

use http::Request;
use hyper_util::client::legacy::connect::HttpConnector;

use super::super::pool::Pool;
use super::super::transfer::{Pulse, Upload};
use super::*;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_is_used_again() {
    let (app, _heads) = App::answering(ANSWER).await;
    let running = serve(upstream(app.address)).await;
    let mut clients = [Client::connect(running.address).await, Client::connect(running.address).await];
    for _ in 0..10 {
        for client in &mut clients {
            assert_eq!(client.ask("GET /x", "").await.body, b"ok");
        }
    }
    assert_eq!(app.connections.load(Ordering::Relaxed), 1, "one after the other, all ask by the same");
    running.stopped().await;
}

#[tokio::test]
async fn one_that_was_closed_is_left_and_nothing_is_lost() {
    // Each answers once, and ends without a word of it. A request with a body is not repeated once a part of it was sent.
    let app = App::start(|mut client: Client| async move {
        client.answer(true).await;
        client.take(2).await;
        client.send(ANSWER).await;
    })
    .await;
    let running = serve(upstream(app.address)).await;
    let mut client = Client::connect(running.address).await;
    for count in 1..=5 {
        client.send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab").await;
        assert_eq!(client.answer(false).await.body, b"ok");
        assert_eq!(app.connections.load(Ordering::Relaxed), count);
        // The end has to have come.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.stopped().await;
}

#[tokio::test]
async fn what_is_left_of_an_answer_is_nobody_elses() {
    // The body never comes to its end, and the client doesn't wait for it.
    let app = App::start(|mut client: Client| async move {
        client.answer(true).await;
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\nsecret").await;
        client.rest().await;
    })
    .await;
    let running = serve(upstream(app.address)).await;
    for count in 1..=3 {
        let mut client = Client::connect(running.address).await;
        client.send("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut got = Vec::new();
        while !got.ends_with(b"secret") {
            got.extend(client.take(1).await);
        }
        drop(client);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(app.connections.load(Ordering::Relaxed), count, "each has a connection of its own");
    }
    running.stopped().await;
}

#[tokio::test]
async fn as_many_are_made_as_there_are_requests_and_they_grow_old() {
    let app = App::start(|mut client: Client| async move {
        while head(&mut client).await.is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            client.send(ANSWER).await;
        }
    })
    .await;
    let url = format!("http://{}/x", app.address).parse().unwrap();
    let pool = Pool::new(HttpConnector::new(), url, Duration::from_millis(400));
    let ask = || {
        let pool = pool.clone();
        tokio::spawn(async move {
            let request = Request::get("/x").header("host", "a").body(Upload::new(None, &Pulse::new())).unwrap();
            pool.send(request).await.map(|(answer, lease)| (answer.status(), drop(lease)))
        })
    };
    for _ in 0..2 {
        for asked in [ask(), ask(), ask()] {
            assert_eq!(asked.await.unwrap().unwrap().0, 200);
        }
    }
    assert_eq!(app.connections.load(Ordering::Relaxed), 3);
    let mut ended = app.ended.clone();
    ended.wait_for(|ended| *ended == 3).await.unwrap();
    assert_eq!(ask().await.unwrap().unwrap().0, 200);
    assert_eq!(app.connections.load(Ordering::Relaxed), 4);
}
