//! Servers whose latencies are known.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers each request after what `pause` says for the time since the start.
async fn server(pause: fn(Duration) -> Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = listener.into_std().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let begun = Instant::now();
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        let pause = pause(begun.elapsed());
                        if !pause.is_zero() {
                            tokio::time::sleep(pause).await;
                        }
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                    }
                });
            }
        });
    });
    address
}

fn plan(address: SocketAddr, connections: usize, lasting: Duration) -> Plan {
    Plan { asks: vec![Ask::get(address, "x", "/")], connections, lasting, meter: Meter::default(), spins: true }
}

/// Milliseconds within which that share of requests was answered.
fn percentile(paced: &Paced, share: f64) -> f64 {
    let total: u64 = paced.latencies.iter().map(|(_, count)| count).sum();
    let mut seen = 0;
    for (value, count) in &paced.latencies {
        seen += count;
        if seen as f64 >= share * total as f64 {
            return *value as f64 / 1000.0;
        }
    }
    f64::NAN
}

#[tokio::test]
async fn a_delay_that_is_known_is_found() {
    let address = server(|_| Duration::from_millis(20)).await;
    let paced = plan(address, 16, Duration::from_millis(1000)).pace(200.0).await.unwrap();
    assert_eq!((paced.load.requests, paced.load.errors, paced.unsent), (200, 0, 0));
    let median = percentile(&paced, 0.5);
    assert!((20.0..60.0).contains(&median), "{median}");
}

/// For a fifth of each second nothing is answered. Who is due then waits for what is left of it: of all requests, one in ten waits for
/// 100 ms or more. A generator that waited for its answers would send one request in that time, and count it alone.
#[tokio::test]
async fn a_server_that_stalls_does_not_hide_it() {
    let stall = |since: Duration| {
        let within = since.as_millis() as u64 % 1000;
        Duration::from_millis(if within >= 800 { 1000 - within } else { 0 })
    };
    let address = server(stall).await;
    let paced = plan(address, 8, Duration::from_secs(2)).pace(500.0).await.unwrap();
    assert_eq!((paced.load.requests, paced.load.errors, paced.unsent), (1000, 0, 0));
    // One in five waits at all, evenly between none and 200 ms.
    let (p50, p90, p99) = (percentile(&paced, 0.5), percentile(&paced, 0.9), percentile(&paced, 0.99));
    assert!(p50 < 30.0, "half of all wait for nothing: {p50}");
    assert!((80.0..140.0).contains(&p90), "{p90}");
    assert!((170.0..260.0).contains(&p99), "{p99}");

    // The closed loop's view of the same server: what it asked in the stall is next to nothing of all.
    let load = plan(address, 8, Duration::from_secs(1)).saturate().await.unwrap();
    assert!(load.requests > 500, "{}", load.requests);
    assert_eq!(load.errors, 0);
}

#[tokio::test]
async fn what_can_not_be_sent_is_told() {
    let address = server(|_| Duration::from_millis(400)).await;
    let paced = plan(address, 1, Duration::from_millis(500)).pace(100.0).await.unwrap();
    assert!(paced.load.requests < 10, "{}", paced.load.requests);
    assert_eq!(paced.load.requests + paced.unsent, 50);
}

#[tokio::test]
async fn nobody_there_is_an_error_each_time() {
    let address = crate::bench::process::free_address().unwrap();
    let paced = plan(address, 2, Duration::from_millis(100)).pace(100.0).await.unwrap();
    assert_eq!((paced.load.requests, paced.load.errors), (10, 10));
}
