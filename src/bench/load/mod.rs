//! Load for a server: as much as it takes, or at a rate of ours whatever it does.
//!
//! A generator that waits for an answer before it asks again is silent while a server stalls, and so leaves out the worst (coordinated
//! omission). At a rate, each request is therefore due at a time of its own, and its latency counts from then.

mod connection;
mod server;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use tokio::task::LocalSet;

use super::process::{Meter, own_cpu_us};
use super::report::{Load, Paced};
pub use connection::{Answer, Connection};
pub use server::{Origin, Reached, Server};

/// A request that takes longer counts as an error.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long requests that were due may still be waited for after the end.
const GRACE: Duration = Duration::from_secs(1);

/// Timers are no finer, so that the rest is waited for awake.
const TIMER: Duration = Duration::from_micros(1500);

/// Latencies are told to a hundredth of themselves.
const DIGITS: u8 = 2;

/// Nobody waits for longer.
const LONGEST_US: u64 = 60_000_000;

/// What is asked of whom.
#[derive(Debug, Clone)]
pub struct Ask {
    pub server: Arc<Server>,
    /// The whole request.
    pub request: Bytes,
    /// Whether it goes to where the page comes from.
    pub of_page: bool,
}

impl Ask {
    /// A GET of a path, as a browser says what codings it takes.
    pub fn get(server: Arc<Server>, host: &str, path: &str) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\naccept-encoding: gzip, deflate, br, zstd\r\nuser-agent: fingerpost-bench\r\n\r\n"
        );
        Ask { server, request: request.into(), of_page: true }
    }
}

/// A load that is ready to be put on.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Asked in turn, from the first again after the last.
    pub asks: Vec<Ask>,
    pub connections: usize,
    pub lasting: Duration,
    /// Of whom it is that is asked.
    pub meter: Meter,
    /// Whether who asks has a core that no server needs, and may wait awake.
    pub spins: bool,
}

impl Plan {
    /// Each connection asks again as soon as it has its answer.
    pub async fn saturate(self) -> io::Result<Load> {
        in_thread(move || async move {
            let mut lines = self.lines().await;
            let clock = Clock::start(&self.meter);
            let end = clock.begun + self.lasting;
            let tally = Rc::new(RefCell::new(Tally::default()));
            let asks: Rc<[Ask]> = self.asks.into();
            let tasks = LocalSet::new();
            for (index, mut line) in lines.drain(..).enumerate() {
                let (asks, tally) = (asks.clone(), tally.clone());
                tasks.spawn_local(async move {
                    let turns = (0..).map(|turn| &asks[(index + turn) % asks.len()]);
                    for ask in turns {
                        if Instant::now() >= end {
                            break;
                        }
                        let answer = line.ask(ask).await;
                        tally.borrow_mut().count(answer);
                    }
                });
            }
            tasks.await;
            clock.stop(&self.meter, &tally.borrow())
        })
        .await
    }

    /// So many requests a second are due, evenly.
    pub async fn pace(self, rate: f64) -> io::Result<Paced> {
        in_thread(move || async move {
            let mut lines = self.lines().await;
            let histogram = Histogram::<u64>::new_with_bounds(1, LONGEST_US, DIGITS).map_err(io::Error::other)?;
            let clock = Clock::start(&self.meter);
            let total = (self.lasting.as_secs_f64() * rate).ceil() as u64;
            let last = clock.begun + self.lasting + GRACE;
            let due = move |turn: u64| clock.begun + Duration::from_secs_f64(turn as f64 / rate);
            let state = Rc::new(RefCell::new((0_u64, Tally::default(), histogram)));
            let asks: Rc<[Ask]> = self.asks.into();
            let tasks = LocalSet::new();
            for mut line in lines.drain(..) {
                let (asks, state) = (asks.clone(), state.clone());
                tasks.spawn_local(async move {
                    loop {
                        // The next that is due goes to whoever is free, and waits with them if nobody was.
                        let turn = {
                            let (next, ..) = &mut *state.borrow_mut();
                            if *next >= total {
                                return;
                            }
                            *next += 1;
                            *next - 1
                        };
                        let due = due(turn);
                        until(due, self.spins).await;
                        if Instant::now() > last {
                            state.borrow_mut().1.unsent += 1;
                            continue;
                        }
                        let ask = &asks[turn as usize % asks.len()];
                        let answer = line.ask(ask).await;
                        let (_, tally, histogram) = &mut *state.borrow_mut();
                        // A refusal is soon there, and no answer.
                        if tally.count(answer) {
                            histogram.saturating_record(due.elapsed().as_micros() as u64);
                        }
                    }
                });
            }
            tasks.await;
            let (_, tally, histogram) = &*state.borrow();
            let buckets = histogram.iter_recorded();
            Ok::<_, io::Error>(Paced {
                load: clock.stop(&self.meter, tally),
                rate,
                unsent: tally.unsent,
                latencies: buckets.map(|at| (at.value_iterated_to(), at.count_since_last_iteration())).collect(),
            })
        })
        .await?
    }

    /// One for each connection, which has asked before: opening one is no part of what is measured.
    async fn lines(&self) -> Vec<Line> {
        let open = || async {
            let mut line = Line::default();
            for ask in first_of_each(&self.asks) {
                let _ = line.ask(ask).await;
            }
            line
        };
        join_all((0..self.connections.max(1)).map(|_| open())).await
    }
}

fn first_of_each(asks: &[Ask]) -> impl Iterator<Item = &Ask> {
    let is_first = |index: usize, ask: &Ask| asks[..index].iter().all(|other| other.server != ask.server);
    asks.iter().enumerate().filter(move |(index, ask)| is_first(*index, ask)).map(|(_, ask)| ask)
}

/// A client of one server or several, with one connection to each.
#[derive(Default)]
struct Line(Vec<(Arc<Server>, Connection)>);

impl Line {
    async fn ask(&mut self, ask: &Ask) -> io::Result<Answer> {
        tokio::time::timeout(PATIENCE, self.answered(ask)).await?
    }

    /// A connection is opened anew if the last one has ended, which is part of how long the answer takes.
    async fn answered(&mut self, ask: &Ask) -> io::Result<Answer> {
        let (server, mut connection) = match self.0.iter().position(|(server, _)| *server == ask.server) {
            Some(at) => self.0.swap_remove(at),
            None => (ask.server.clone(), Connection::to(&ask.server).await?),
        };
        let answer = connection.ask(&ask.request).await?;
        if answer.keeps {
            self.0.push((server, connection));
        }
        Ok(answer)
    }
}

async fn until(due: Instant, spins: bool) {
    let now = Instant::now();
    let ahead = due.saturating_duration_since(now);
    if !spins {
        return tokio::time::sleep_until(due.into()).await;
    }
    if ahead > TIMER {
        tokio::time::sleep(ahead - TIMER).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

#[derive(Default)]
struct Tally {
    requests: u64,
    errors: u64,
    bytes: u64,
    unsent: u64,
}

impl Tally {
    /// Whether it was one.
    fn count(&mut self, answer: io::Result<Answer>) -> bool {
        self.requests += 1;
        self.bytes += answer.as_ref().map_or(0, |answer| answer.bytes);
        // Who is asked too much may say so in place of an answer (RFC 6585 section 4).
        let is_good = answer.is_ok_and(|answer| answer.status < 500 && answer.status != 429);
        self.errors += u64::from(!is_good);
        is_good
    }
}

#[derive(Clone, Copy)]
struct Clock {
    begun: Instant,
    server: u64,
    client: u64,
}

impl Clock {
    fn start(meter: &Meter) -> Self {
        Clock { server: meter.cpu_us(), client: own_cpu_us(), begun: Instant::now() }
    }

    fn stop(self, meter: &Meter, tally: &Tally) -> Load {
        Load {
            seconds: self.begun.elapsed().as_secs_f64(),
            requests: tally.requests,
            errors: tally.errors,
            bytes: tally.bytes,
            client_cpu_us: own_cpu_us().saturating_sub(self.client),
            server_cpu_us: meter.cpu_us().saturating_sub(self.server),
        }
    }
}

/// Runs on a thread that does nothing else, whose CPU time is the generator's.
async fn in_thread<F: Future<Output = T>, T: Send + 'static>(
    work: impl FnOnce() -> F + Send + 'static,
) -> io::Result<T> {
    let run = move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // Answers are looked for after a few turns of those who wait awake.
        let runtime = runtime.enable_all().event_interval(3).build()?;
        Ok(runtime.block_on(work()))
    };
    tokio::task::spawn_blocking(run).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests;
