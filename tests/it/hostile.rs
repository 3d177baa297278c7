//! Clients that mean no good: an honest one is still served while they try.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use socket2::{Domain, Socket, Type};

use crate::http::{Response, get};
use crate::setup::Need;
use crate::site::{Server, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![[Need::Slowhttptest]; slow_heads, slow_bodies, slow_readers]
}

/// How long each attack goes on, in seconds.
const SECONDS: &str = "8";
const CONNECTIONS: &str = "300";

/// How long an honest client waits. Far less than any of the server's own limits.
const PATIENCE: Duration = Duration::from_secs(3);

/// A GET from another address than the attack's, so that limits on one address are not those on the other.
fn honest(server: &Server, path: &str) -> Result<Response, std::io::Error> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0)).into())?;
    let address: SocketAddr = server.address.parse().map_err(std::io::Error::other)?;
    socket.connect_timeout(&address.into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = std::net::TcpStream::from(socket);
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let (response, _) = Response::parse(&bytes, "GET").ok_or_else(|| std::io::Error::other("no whole answer"))?;
    Ok(response)
}

fn accepted(server: &Server) -> f64 {
    let text = get(&server.admin, "/metrics", &[]).text();
    let count = text.lines().find_map(|line| line.strip_prefix("fingerpost_connections_accepted_total ")?.parse().ok());
    count.expect("a number")
}

/// Attacks a path while an honest client asks for the front page.
fn survive(mode: &[&str]) {
    // Large enough that it fills every buffer between a server and a client that does not read.
    let large: String = (0..2_000_000u32)
        .map(|number| char::from(b'a' + (number.wrapping_mul(2_654_435_761) >> 27) as u8 % 26))
        .collect();
    let site =
        Site::new().asset("public/large.txt", large).template("index.html", "<!doctype html><title>still here</title>");
    site.build(&["--no-compress"]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0", "--admin", "0"]);
    let mut attack = Command::new("slowhttptest")
        .args([
            "-c",
            CONNECTIONS,
            "-r",
            CONNECTIONS,
            "-l",
            SECONDS,
            "-u",
            &format!("http://{}/large.txt", server.address),
        ])
        .args(mode)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("slowhttptest starts");
    let (mut stdout, mut stderr) = (attack.stdout.take().expect("stdout"), attack.stderr.take().expect("stderr"));
    let told = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stdout.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let errors = std::thread::spawn(move || drop(stderr.read_to_end(&mut Vec::new())));
    let (mut asked, mut slowest) = (0u32, Duration::ZERO);
    let late = Instant::now() + Duration::from_secs(40);
    while attack.try_wait().expect("its state").is_none() {
        if Instant::now() > late {
            let _ = attack.kill();
        }
        let start = Instant::now();
        let response = honest(&server, "/").unwrap_or_else(|error| panic!("{error} after {asked} answers"));
        assert_eq!((response.status, response.text().contains("still here")), (200, true));
        slowest = slowest.max(start.elapsed());
        asked += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = told.join().expect("its words");
    errors.join().expect("its errors");
    let attacking = accepted(&server) - f64::from(asked);
    assert!(attacking > 100.0, "{attacking} connections are no attack: {told}");
    assert!(asked > 5, "{asked} asked");
    assert!(slowest < PATIENCE, "{slowest:?}");
    assert_eq!(honest(&server, "/").expect("an answer").status, 200, "and after it");
}

fn slow_heads() {
    survive(&["-H", "-i", "1", "-x", "10", "-p", "3"]);
}

fn slow_bodies() {
    survive(&["-B", "-i", "1", "-s", "100000", "-x", "10", "-p", "3"]);
}

fn slow_readers() {
    survive(&["-X", "-w", "256", "-y", "512", "-n", "1", "-z", "16", "-k", "2", "-p", "3"]);
}
