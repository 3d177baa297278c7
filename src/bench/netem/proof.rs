//! Connections through a relay's network and through the kernel's, side by side: each takes what was asked for.
//!
//! They change the network of whoever runs them, and so wait for somebody who has one to spare, with netem in it:
//! `unshare --user --map-current-user --keep-caps --net target/debug/deps/fingerpost-… --ignored bench::netem --test-threads 1`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::bench::relay::{Between, Link, Relay, Route};

const MS: Duration = Duration::from_millis(1);

/// Nothing but what these tests ask for.
fn alone() {
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    assert!(namespace("1") != namespace("self"), "this is the machine's own network: run it with `unshare`");
    namespace::Tools::find().and_then(|tools| tools.prepare()).unwrap();
}

/// Sends as many bytes as it is asked for.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                while let Ok(bytes) = stream.read_u32().await {
                    let sent = stream.write_all(&vec![b'x'; bytes as usize]).await;
                    if sent.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Milliseconds until a connection is open, the first byte is there, another one, and so many over a new connection.
async fn times(to: SocketAddr, bytes: u32) -> [f64; 4] {
    let ms = |since: Instant| since.elapsed().as_secs_f64() * 1000.0;
    let ask = async |stream: &mut TcpStream, bytes: u32| {
        let begun = Instant::now();
        stream.write_u32(bytes).await.unwrap();
        stream.read_exact(&mut vec![0; bytes as usize]).await.unwrap();
        ms(begun)
    };
    let begun = Instant::now();
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let open = ms(begun);
    let first = open + ask(&mut stream, 1).await;
    let second = ask(&mut stream, 1).await;
    let mut stream = TcpStream::connect(to).await.unwrap();
    [open, first, second, ask(&mut stream, bytes).await]
}

/// Round trip in milliseconds, and bits per second down, by who makes it.
async fn through(emulation: Emulation, round_trip: u32, down: u64, bytes: u32) -> [f64; 4] {
    let relay = Relay::bind(emulation.before_origins()).await.unwrap();
    let round_trip = round_trip * MS;
    let link = Arc::new(Link::new((down > 0).then_some(down), None));
    let relayed = || Between { round_trip, link };
    lift().unwrap();
    let between = (emulation == Emulation::Relays).then(relayed);
    relay.lead(Route { to: server().await, between }).await;
    if emulation == Emulation::Netem {
        lay(&Shape { down, origin: round_trip / 2, ..Shape::default() }).unwrap();
    }
    let found = times(relay.address(), bytes).await;
    eprintln!("{emulation:?}, {round_trip:?}, {down} bit/s, {bytes} bytes: {found:.1?} ms");
    found
}

#[tokio::test]
#[ignore = "needs a network namespace to itself, and sch_netem: see the file"]
async fn a_round_trip_takes_what_was_asked_for_whoever_makes_it() {
    alone();
    let [relayed_open, relayed, relayed_second, _] = through(Emulation::Relays, 100, 0, 1).await;
    let [open, first, second, _] = through(Emulation::Netem, 100, 0, 1).await;
    // A relay answers at once, and then keeps who asks waiting.
    assert!(relayed_open < 60.0 && open > 99.0, "{relayed_open} {open}");
    for (first, second) in [(relayed, relayed_second), (first, second)] {
        assert!((195.0..300.0).contains(&first), "{first}");
        assert!((98.0..170.0).contains(&second), "{second}");
    }
}

#[tokio::test]
#[ignore = "needs a network namespace to itself, and sch_netem: see the file"]
async fn a_rate_holds_and_only_the_kernel_starts_slowly() {
    alone();
    // 2 Mbit/s are 250,000 bytes a second; the kernel counts header fields, too.
    for emulation in [Emulation::Relays, Emulation::Netem] {
        let [.., taken] = through(emulation, 2, 2_000_000, 250_000).await;
        assert!((960.0..1500.0).contains(&taken), "{emulation:?}: {taken}");
    }
    // 200 kB are 14, 29, 58 and 99 kB, each a round trip after the one before.
    let [.., relayed] = through(Emulation::Relays, 100, 0, 200_000).await;
    let [.., taken] = through(Emulation::Netem, 100, 0, 200_000).await;
    // The relay keeps a new connection waiting for another one.
    assert!((195.0..320.0).contains(&relayed), "{relayed}");
    assert!((395.0..650.0).contains(&taken), "{taken}");
}

#[tokio::test]
#[ignore = "needs a network namespace to itself, and sch_netem: see the file"]
async fn edges_are_near_while_origins_are_far() {
    alone();
    let to = server().await;
    let mut relays = Vec::new();
    for address in [ORIGIN, EDGE, BACK, Ipv4Addr::LOCALHOST] {
        let relay = Relay::bind(address).await.unwrap();
        relay.lead(Route { to, between: None }).await;
        relays.push(relay);
    }
    lift().unwrap();
    let shape = Shape { up: 8_000_000, down: 8_000_000, origin: 100 * MS, edge: Some(25 * MS), back: 75 * MS };
    lay(&shape).unwrap();
    let addresses: Vec<SocketAddr> = relays.iter().map(Relay::address).collect();
    for (address, round_trip) in addresses.iter().zip([200.0, 50.0, 150.0, 0.0]) {
        let [open, _, second, _] = times(*address, 1).await;
        eprintln!("{address}: {open:.1} {second:.1} ms");
        for taken in [open, second] {
            assert!((round_trip - 2.0..round_trip + 70.0).contains(&taken), "{address}: {taken}");
        }
    }
    // Both share what the visitor's link carries: 800 kB at a million bytes a second.
    let begun = Instant::now();
    tokio::join!(times(addresses[0], 400_000), times(addresses[1], 400_000));
    let taken = begun.elapsed().as_secs_f64() * 1000.0;
    eprintln!("both: {taken:.0} ms");
    assert!(taken > 800.0, "{taken}");
    lift().unwrap();
    let [open, ..] = times(addresses[0], 1).await;
    assert!(open < 50.0, "nothing lies between any more: {open}");
}
