//! How the program takes connections: TLS, the service manager's socket and its notices, limits, the end.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::Signal;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::http::get;
use crate::site::{Server, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        https_is_served_and_sessions_are_resumed,
        sighup_shows_another_certificate,
        a_certificate_that_cannot_be_used_is_refused_at_once,
        the_file_can_say_it_all,
        limits_that_make_no_sense_are_refused,
        the_service_managers_socket_is_taken_over,
        what_is_no_socket_is_not_taken_over,
        the_service_manager_is_told,
        a_stop_waits_for_the_drain_alone,
        a_stop_does_not_wait_for_a_reload,
        a_client_of_http_2_that_is_gone_is_noticed,
        idle_connections_cost_little,
    ]
}

const PATIENCE: Duration = Duration::from_secs(20);

const LISTEN: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

fn site() -> Site {
    let site = Site::new().template("index.html", "<!doctype html><title>home</title>");
    certificate(&site, "tls");
    site.build(&[]);
    site
}

/// A new certificate for `localhost`, below the site's root.
pub fn certificate(site: &Site, name: &str) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    site.write(&format!("{name}.pem"), made.cert.pem());
    site.write(&format!("{name}.key"), made.signing_key.serialize_pem());
}

/// A client that trusts what lies in the site's folder now.
fn client(site: &Site) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.root().join("tls.pem")).expect("PEM")).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// The answer to a GET of `/`, and whether the session was a resumed one.
fn ask(client: &Arc<ClientConfig>, address: &str) -> std::io::Result<(String, bool)> {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::clone(client), name).expect("a session");
    let socket = TcpStream::connect(address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut stream = StreamOwned::new(session, socket);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok((answer, stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)))
}

fn https_is_served_and_sessions_are_resumed() {
    let site = site();
    let server =
        Server::start(site.command(&[&LISTEN[..], &["--tls-cert", "tls.pem", "--tls-key", "tls.key"]].concat()));
    let client = client(&site);
    for resumed in [false, true] {
        let (answer, was_resumed) = ask(&client, &server.address).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("<title>home"), "{answer}");
        assert_eq!(was_resumed, resumed);
    }
}

fn sighup_shows_another_certificate() {
    let site = site();
    let server = site.serve(&[&LISTEN[..], &["--tls-cert", "tls.pem", "--tls-key", "tls.key"]].concat());
    let old = client(&site);
    ask(&old, &server.address).expect("an answer");

    site.write("tls.pem", "no certificate");
    server.signal(Signal::HUP);
    server.wait_for("there is no certificate in it");
    ask(&old, &server.address).expect("the old one is still shown");

    certificate(&site, "tls");
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    ask(&client(&site), &server.address).expect("the new one is shown");
}

fn a_certificate_that_cannot_be_used_is_refused_at_once() {
    let site = site();
    certificate(&site, "other");
    for (cert, key, want) in [
        ("missing.pem", "tls.key", "could not read the certificate"),
        ("tls.pem", "tls.pem", "there is no key in it"),
        ("tls.pem", "other.key", "is not that of the certificate"),
    ] {
        let run = site.run(&[&LISTEN[..], &["--tls-cert", cert, "--tls-key", key]].concat());
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(want) && run.stderr.contains("help:"), "{}", run.stderr);
    }
    let run = site.run(&[&LISTEN[..], &["--tls-cert", "tls.pem"]].concat());
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("--tls-key"), "{}", run.stderr);
}

fn the_file_can_say_it_all() {
    let site = site()
        .config("[serve]\ntls = { cert = \"tls.pem\", key = \"tls.key\" }\nheader_timeout = 0.2\nconnections = 2\n");
    let server = site.serve(&LISTEN);
    let (answer, _) = ask(&client(&site), &server.address).expect("an answer");
    assert!(answer.contains("<title>home"), "{answer}");
    // Who says nothing has a while; one more than may be has none.
    let connect = || {
        let socket = TcpStream::connect(&server.address).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket
    };
    let mut silent = [connect(), connect()];
    let start = Instant::now();
    let mut third = connect();
    assert_eq!(third.read(&mut [0]).unwrap_or(0), 0);
    assert!(start.elapsed() < Duration::from_millis(150), "{:?}", start.elapsed());
    for socket in &mut silent {
        assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0);
    }
    assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
}

fn limits_that_make_no_sense_are_refused() {
    let site = site();
    for (key, want) in [
        ("drain = -1", "`drain` can't be -1 seconds"),
        ("header_timeout = 0", "`header_timeout` can't be 0 seconds"),
        ("idle_timeout = 1e9", "`idle_timeout` can't be 1000000000 seconds"),
        ("connections = 0", "nobody is served"),
    ] {
        site.write("fingerpost.toml", format!("[serve]\n{key}\n"));
        let run = site.run(&LISTEN);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(want), "{key}: {}", run.stderr);
    }
}

/// The program with a descriptor 3, as a service manager starts it.
fn with_socket(site: &Site, socket: OwnedFd) -> Command {
    let program = site.command(&["serve", "--listen", "127.0.0.1:1"]);
    let mut command = Command::new("sh");
    command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null"]);
    command.arg(program.get_program()).args(program.get_args()).stdin(Stdio::from(socket));
    command
}

fn the_service_managers_socket_is_taken_over() {
    let site = site();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    // It waits for the server to start.
    let mut early = TcpStream::connect(&address).expect("a connection");
    early.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    early.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("a request");
    let server = Server::start(with_socket(&site, listener.into()));
    assert_eq!(server.address, address);
    let mut answer = String::new();
    early.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("<title>home"), "{answer}");
    assert_eq!(get(&address, "/", &[]).status, 200);
}

fn what_is_no_socket_is_not_taken_over() {
    let site = site();
    let file = std::fs::File::open(site.root().join("tls.pem")).expect("a file");
    let run = with_socket(&site, file.into()).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("could not take over the socket of the service manager"), "{stderr}");
}

fn notices(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

fn the_service_manager_is_told() {
    let site = site();
    let path = site.root().join("notify");
    let manager = notices(&path);
    let next = || {
        let mut notice = [0; 500];
        let length = manager.recv(&mut notice).expect("a notice");
        String::from_utf8_lossy(&notice[..length]).into_owned()
    };
    let mut command = site.command(&LISTEN);
    command.env("NOTIFY_SOCKET", &path);
    let mut server = Server::start(command);
    assert_eq!(next().trim(), "READY=1");
    assert_eq!(get(&server.address, "/", &[]).status, 200);
    server.signal(Signal::HUP);
    let reloading = next();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(next().trim(), "READY=1");
    server.signal(Signal::TERM);
    assert_eq!(next().trim(), "STOPPING=1");
    assert_eq!(server.wait(), Some(0));
}

/// A client that has begun to read a long answer, and goes on when it is too late.
fn a_stop_waits_for_the_drain_alone() {
    let site = Site::new().asset("public/large.bin", vec![b'x'; 20_000_000]);
    site.build(&["--no-compress"]);
    let mut server = site.serve(&[&LISTEN[..], &["--drain", "1"]].concat());
    let mut slow = TcpStream::connect(&server.address).expect("a connection");
    slow.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    slow.write_all(b"GET /large.bin HTTP/1.1\r\nhost: a\r\n\r\n").expect("a request");
    slow.read_exact(&mut [0; 1000]).expect("a beginning");
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(6), "{took:?}");
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.len() < 20_000_000, "it was cut off");
}

/// A file that nobody can open, as on a disk that does not answer.
fn a_stop_does_not_wait_for_a_reload() {
    for stuck in ["about.html", "large.bin"] {
        let site = site().asset("public/large.bin", vec![b'x'; 200_000]).template("about.html", "<!doctype html>about");
        site.build(&["--no-compress"]);
        let path = site.root().join("notify");
        let manager = notices(&path);
        let mut command = site.command(&LISTEN);
        command.env("NOTIFY_SOCKET", &path);
        let mut server = Server::start(command);
        let file = site.root().join("dist").join(stuck);
        std::fs::remove_file(&file).expect("it was built");
        assert!(std::process::Command::new("mkfifo").arg(&file).status().expect("mkfifo").success());
        server.signal(Signal::HUP);
        let mut notice = [0; 500];
        while !notice.starts_with(b"RELOADING") {
            manager.recv(&mut notice).expect("a notice");
        }
        assert_eq!(get(&server.address, "/", &[]).status, 200, "what was served still is");
        server.signal(Signal::TERM);
        server.wait_for("finishing the requests");
        let late = Instant::now() + Duration::from_secs(8);
        while !server.has_ended() {
            assert!(Instant::now() < late, "{stuck}: it waits for what nobody wants any more");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(server.wait(), Some(0));
    }
}

/// It holds the connection open, and says nothing any more: not even to PING (RFC 9113 section 6.7).
fn a_client_of_http_2_that_is_gone_is_noticed() {
    let site = site().config("[serve]\nidle_timeout = 12\nheader_timeout = 2\n");
    site.build(&[]);
    let server = site.serve(&LISTEN);
    let address = server.address.as_str();
    std::thread::scope(|scope| {
        let (there, gone) = (scope.spawn(|| until_closed(address, true)), scope.spawn(|| until_closed(address, false)));
        let (pings, lasted) = there.join().expect("a client");
        assert!(pings > 0 && lasted >= Duration::from_secs(12), "idle, and there: {pings}, {lasted:?}");
        let (pings, lasted) = gone.join().expect("a client");
        assert!(pings > 0 && lasted < Duration::from_secs(12), "{pings}, {lasted:?}");
    });
}

/// How often a client is asked whether it is there, and when it is hung up on.
fn until_closed(address: &str, answers: bool) -> (usize, Duration) {
    const PING: u8 = 6;
    let mut client = TcpStream::connect(address).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let get = [&[0, 0, 6, 1, 5, 0, 0, 0, 1][..], b"\x82\x86\x84\x41\x01a"].concat();
    let start = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), get].concat();
    client.write_all(&start).expect("a request");
    let begun = Instant::now();
    let (mut pings, mut head) = (0, [0; 9]);
    while client.read_exact(&mut head).is_ok() {
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        client.read_exact(&mut payload).expect("a payload");
        if head[3] == PING && head[4] == 0 {
            pings += 1;
            head[4] = 1;
            if answers {
                client.write_all(&[&head[..], &payload].concat()).expect("an answer");
            }
        }
    }
    (pings, begun.elapsed())
}

/// Bytes of memory that the process has to itself.
fn memory(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("kilobytes") * 1024
}

fn idle_connections_cost_little() {
    const CONNECTIONS: usize = 4000;
    const EACH: usize = 4096;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).expect("many files");
    let site = site();
    let server = site.serve(&LISTEN);
    assert_eq!(get(&server.address, "/", &[]).status, 200);
    let before = memory(&server);
    let mut clients: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| TcpStream::connect(&server.address).expect("a connection")).collect();
    std::thread::sleep(Duration::from_millis(500));
    let fresh = memory(&server).saturating_sub(before) / CONNECTIONS;
    assert!(fresh < EACH, "{fresh} bytes each before the first request");
    for client in &mut clients {
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("a request");
        assert_ne!(client.read(&mut [0; 4096]).expect("an answer"), 0);
    }
    // The allocator gives back what it has not used for a while, when the threads have nothing else to do.
    let (start, mut after) = (Instant::now(), EACH);
    while after >= EACH && start.elapsed() < Duration::from_secs(15) {
        std::thread::sleep(Duration::from_secs(3));
        after = memory(&server).saturating_sub(before) / CONNECTIONS;
    }
    println!("bytes of an idle connection: {fresh} before the first request, {after} after it");
    assert!(after < EACH, "{after} bytes each after it");
    // They are there still.
    for client in clients.iter_mut().step_by(97) {
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("a request");
        assert_ne!(client.read(&mut [0; 4096]).expect("an answer"), 0);
    }
}
