//! How long one waits at a fixed rate: requests are due at set times, whatever became of those before, and what is waited for is
//! counted from when a request was due. (A generator that waits for an answer before it asks again would leave out the worst.)

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::load::Ask;
use super::peers::Running;

/// Microseconds, by the share of requests that took no longer.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

/// Asks so often a second, over so many connections, of which each has one request under way.
pub fn at_rate(server: &Running, ask: &Ask, per_second: u64, connections: usize, lasting: Duration) -> Waits {
    // Pinned by who has started this.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut waits = runtime.block_on(schedule(server, ask, per_second, connections, lasting));
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    Waits { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}

async fn schedule(
    server: &Running,
    ask: &Ask,
    per_second: u64,
    connections: usize,
    lasting: Duration,
) -> Vec<Duration> {
    let fields: String = ask.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request: Arc<str> = format!("GET {} HTTP/1.1\r\nhost: 127.0.0.1\r\n{fields}\r\n", ask.path).into();
    let start = Instant::now() + Duration::from_millis(50);
    let total = (lasting.as_secs_f64() * per_second as f64) as u32;
    let step = Duration::from_secs(1) / per_second as u32;
    // The next request that is due goes to whoever is free.
    let next = Arc::new(Mutex::new(0u32));
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (next, request) = (Arc::clone(&next), Arc::clone(&request));
        let mut stream = TcpStream::connect(server.address()).await.expect("it accepts");
        stream.set_nodelay(true).expect("an option");
        tasks.push(tokio::spawn(async move {
            let mut waits = Vec::new();
            let mut buffer = vec![0; 1 << 18];
            loop {
                let turn = {
                    let mut next = next.lock().await;
                    if *next >= total {
                        return waits;
                    }
                    let turn = *next;
                    *next += 1;
                    // Who is first in the queue waits until its request is due; timers are no finer than a millisecond.
                    let due = start + step * turn;
                    while Instant::now() < due {
                        tokio::task::yield_now().await;
                    }
                    turn
                };
                let due = start + step * turn;
                stream.write_all(request.as_bytes()).await.expect("it reads");
                answer(&mut stream, &mut buffer).await;
                waits.push(due.elapsed());
            }
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("it ends"));
    }
    all
}

/// Reads one answer, whose length is told.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) {
    let mut have = 0;
    let (head, length) = loop {
        let read = stream.read(&mut buffer[have..]).await.expect("it answers");
        assert!(read > 0, "it ends before its time");
        have += read;
        let Some(end) = buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
        break (end + 4, length.trim().parse::<usize>().expect("a number"));
    };
    let mut left = (head + length).saturating_sub(have);
    while left > 0 {
        let end = left.min(buffer.len());
        let read = stream.read(&mut buffer[..end]).await.expect("it answers");
        assert!(read > 0, "it ends before its time");
        left -= read;
    }
}
