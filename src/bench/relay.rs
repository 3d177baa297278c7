//! What lies between two ends: a relay on loopback that hands bytes on later, and no faster than a network would.
//!
//! It needs no privilege and knows nothing of what it carries. What it does not show: TCP's slow start, losses, jitter. Where the kernel makes
//! the network ([`netem`](super::netem)), it is no more than the place where ways part.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// What is read at once: what shares a link takes turns by so much.
const PIECE: usize = 4 << 10;

/// What is read at once where nothing is held back.
const SPLICED: usize = 64 << 10;

/// Pieces that are under way in one direction of a connection: about what a window of TCP holds.
const UNDER_WAY: usize = 256;

/// Whoever has not noticed by then that a connection has ended is left alone with it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Less than this is not waited for, but made up for by the next piece: timers are no finer than a millisecond.
const SLACK: Duration = Duration::from_millis(1);

/// A visitor's access to the network, which all of their connections share.
#[derive(Debug)]
pub struct Link {
    up: Direction,
    down: Direction,
}

impl Link {
    /// Bits per second; none for as many as there may be.
    pub fn new(down: Option<u64>, up: Option<u64>) -> Self {
        Link { up: Direction::new(up), down: Direction::new(down) }
    }
}

#[derive(Debug)]
struct Direction {
    bits_per_second: Option<u64>,
    free: Mutex<Option<Instant>>,
}

impl Direction {
    fn new(bits_per_second: Option<u64>) -> Self {
        Direction { bits_per_second, free: Mutex::new(None) }
    }

    /// When so many bytes will have passed, if they begin now or as soon as all before them have.
    fn pass(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let Some(rate) = self.bits_per_second else { return now };
        let mut free = lock(&self.free);
        let done = free.map_or(now, |free| free.max(now)) + Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64);
        *free = Some(done);
        done
    }
}

/// What connections that begin from now on lead to, and how.
#[derive(Debug, Clone)]
pub struct Route {
    pub to: SocketAddr,
    /// None where it is not made here.
    pub between: Option<Between>,
}

/// What a relay makes of itself.
#[derive(Debug, Clone)]
pub struct Between {
    pub round_trip: Duration,
    pub link: Arc<Link>,
}

/// A route, and who goes there.
#[derive(Debug, Clone)]
struct Led {
    route: Route,
    /// Which one it is, counted from the first.
    number: u64,
    /// Held by each connection. Nothing is sent.
    alive: mpsc::Sender<()>,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    led: Arc<Mutex<Option<Led>>>,
    /// Comes to its end when nobody goes there any more.
    left: Mutex<Option<mpsc::Receiver<()>>>,
    /// The number of the route that holds: connections of all before it are to end.
    holds: watch::Sender<u64>,
    server: JoinHandle<()>,
}

impl Relay {
    /// Takes a port; who connects is turned away until there is a route.
    pub async fn bind(address: Ipv4Addr) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 0)).await?;
        let address = listener.local_addr()?;
        let led: Arc<Mutex<Option<Led>>> = Arc::default();
        let (holds, signal) = watch::channel(0);
        let server = tokio::spawn(accept(listener, led.clone(), signal));
        Ok(Relay { address, led, left: Mutex::default(), holds, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that exist end, before this does: who comes back finds the new way.
    pub async fn lead(&self, route: Route) {
        if let Some(mut before) = self.change(route) {
            // Whoever takes longer is left to it.
            let _ = tokio::time::timeout(PATIENCE, before.recv()).await;
        }
    }

    /// Gives what ends with the last connection of before.
    fn change(&self, route: Route) -> Option<mpsc::Receiver<()>> {
        let (alive, left) = mpsc::channel(1);
        let mut led = lock(&self.led);
        let number = led.as_ref().map_or(1, |led| led.number + 1);
        *led = Some(Led { route, number, alive });
        self.holds.send_replace(number);
        lock(&self.left).replace(left)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, led: Arc<Mutex<Option<Led>>>, holds: watch::Receiver<u64>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let Some(led) = lock(&led).clone() else { continue };
        let mut holds = holds.clone();
        connections.spawn(async move {
            tokio::select! {
                // Whoever loses a connection notices by themselves.
                _ = carry(near, led.route) => {}
                _ = async { holds.wait_for(|number| *number != led.number).await.is_ok() } => {}
            }
            drop(led.alive);
        });
    }
}

async fn carry(mut near: TcpStream, route: Route) -> io::Result<()> {
    let mut far = TcpStream::connect(route.to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let Some(between) = route.between else {
        return tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, SPLICED, SPLICED).await.map(drop);
    };
    // Loopback's own handshake takes no time; a real one takes a round trip before anything can be asked.
    let opened = Instant::now() + between.round_trip;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let one_way = between.round_trip / 2;
    tokio::try_join!(
        one_direction(near_read, far_write, &between.link.up, one_way, opened),
        one_direction(far_read, near_write, &between.link.down, one_way, opened),
    )?;
    Ok(())
}

/// Hands on what comes, each piece when it has passed the link and travelled the distance.
async fn one_direction(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    link: &Direction,
    one_way: Duration,
    opened: Instant,
) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Bytes)>(UNDER_WAY);
    let read = async move {
        let mut buffer = vec![0; PIECE];
        tokio::time::sleep_until(opened.into()).await;
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                return Ok::<_, io::Error>(());
            }
            let passed = link.pass(length);
            if passed > Instant::now() + SLACK {
                tokio::time::sleep_until(passed.into()).await;
            }
            let piece = Bytes::copy_from_slice(&buffer[..length]);
            if sender.send((passed + one_way, piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receiver.recv().await {
            tokio::time::sleep_until(due.into()).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write)?;
    Ok(())
}

/// Whoever panicked with it has not left anything half done: what is locked is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each byte with so many.
    async fn server(answer: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while stream.read_u8().await.is_ok() {
                        if stream.write_all(&vec![b'x'; answer]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    async fn through(route: Route) -> (Relay, TcpStream) {
        let relay = Relay::bind(Ipv4Addr::LOCALHOST).await.unwrap();
        relay.lead(route).await;
        let stream = TcpStream::connect(relay.address()).await.unwrap();
        (relay, stream)
    }

    async fn ask(stream: &mut TcpStream, answer: usize) -> f64 {
        let begun = Instant::now();
        stream.write_u8(1).await.unwrap();
        stream.read_exact(&mut vec![0; answer]).await.unwrap();
        begun.elapsed().as_secs_f64() * 1000.0
    }

    #[tokio::test]
    async fn a_new_connection_takes_two_round_trips_and_an_open_one_takes_one() {
        let to = server(1).await;
        let link = Arc::new(Link::new(None, None));
        let between = Some(Between { round_trip: Duration::from_millis(100), link });
        let (_relay, mut stream) = through(Route { to, between }).await;
        let (first, second) = (ask(&mut stream, 1).await, ask(&mut stream, 1).await);
        assert!((195.0..450.0).contains(&first), "{first}");
        assert!((98.0..300.0).contains(&second), "{second}");
    }

    #[tokio::test]
    async fn connections_share_what_the_link_carries() {
        const BYTES: usize = 100_000;
        let to = server(BYTES).await;
        // 8 Mbit/s is a million bytes a second: 200,000 take a fifth of one.
        let link = Arc::new(Link::new(Some(8_000_000), None));
        let route = Route { to, between: Some(Between { round_trip: Duration::ZERO, link }) };
        let (relay, mut one) = through(route).await;
        let mut two = TcpStream::connect(relay.address()).await.unwrap();
        let (first, second) = tokio::join!(ask(&mut one, BYTES), ask(&mut two, BYTES));
        let longest = first.max(second);
        assert!((190.0..600.0).contains(&longest), "{longest}");
        assert!(first.min(second) > 120.0, "they take turns: {first} {second}");
    }

    #[tokio::test]
    async fn a_new_way_ends_the_old_connections() {
        let (old, new) = (server(1).await, server(2).await);
        let link = Arc::new(Link::new(None, None));
        let relayed = Some(Between { round_trip: Duration::ZERO, link });
        for between in [relayed, None] {
            let route = |to| Route { to, between: between.clone() };
            let (relay, mut stream) = through(route(old)).await;
            ask(&mut stream, 1).await;
            relay.lead(route(new)).await;
            // Not soon, but now: what is done to the network next is done to no open connection.
            let left = std::io::Read::read(&mut stream.into_std().unwrap(), &mut [0; 8]);
            let is_open = left.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            assert!(!is_open, "it has ended: {left:?}");
            let mut stream = TcpStream::connect(relay.address()).await.unwrap();
            ask(&mut stream, 2).await;
        }
    }
}
