//! The way to a store, which is shut once so many writes have passed: whoever comes by it is stopped at that very place, however
//! fast it is.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

pub struct Gate {
    address: SocketAddr,
    way: Arc<Way>,
}

struct Way {
    /// How many more may pass.
    left: AtomicUsize,
    is_shut: AtomicBool,
    /// Both directions of each connection.
    pumps: Mutex<Vec<JoinHandle<()>>>,
}

impl Gate {
    /// One to `store`, a `HOST:PORT`, by which `writes` pass.
    pub fn new(store: &str, writes: usize) -> Self {
        let way =
            Arc::new(Way { left: AtomicUsize::new(writes), is_shut: AtomicBool::new(false), pumps: Mutex::default() });
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (store, led) = (store.to_owned(), Arc::clone(&way));
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(&store).expect("a store");
                let (answers, receiver) =
                    (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
                let forth = Arc::clone(&led);
                let mut pumps = led.pumps.lock().expect("a lock");
                pumps.push(thread::spawn(move || forth.requests(client, server)));
                pumps.push(thread::spawn(move || pass_answers(answers, receiver)));
            }
        });
        Gate { address, way }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn is_shut(&self) -> bool {
        self.way.is_shut.load(Ordering::Acquire)
    }

    /// Waits, after the client's end, until the store has done what passed.
    pub fn drain(self) {
        let pumps = std::mem::take(&mut *self.way.pumps.lock().expect("a lock"));
        pumps.into_iter().for_each(|pump| pump.join().expect("it ends"));
    }
}

impl Way {
    /// A request is sent when the one before it has been answered, so one begins where something read begins.
    fn requests(&self, mut client: TcpStream, mut server: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            if buffer[..read].starts_with(b"PUT ") {
                let passed = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
                if passed.is_err() {
                    self.is_shut.store(true, Ordering::Release);
                }
            }
            if self.is_shut.load(Ordering::Acquire) {
                continue;
            }
            if server.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Write);
    }
}

/// The store's answers, all of which are waited for, also when nobody hears them.
fn pass_answers(mut server: TcpStream, mut client: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        let _ = client.write_all(&buffer[..read]);
    }
    let _ = client.shutdown(Shutdown::Write);
}
