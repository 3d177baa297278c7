//! A caching edge: Varnish where it is installed, or else nginx. It asks its origin over a way of its own, and counts for itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::load::Connection;
use super::process::{find, free_address};
use super::relay::{Between, Link, Relay, Route};
use super::report::{Emulation, Missing};
use super::strategy::nginx;
use super::strategy::setup::{Setup, Told};

pub struct Edge {
    /// `10 ms`, of the visitors that it is near to.
    pub name: String,
    address: SocketAddr,
    group: u32,
    cache: Cache,
    /// The way to the origin; none where it is asked directly.
    back: Option<Relay>,
    /// Where it leads.
    led: Mutex<Option<(SocketAddr, Duration)>>,
    /// The counters when they were last asked for.
    before: Mutex<Counts>,
}

/// What an edge has counted since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub hits: u64,
    pub misses: u64,
    pub origin_bytes: u64,
}

enum Cache {
    Varnish {
        folder: PathBuf,
        statistics: PathBuf,
    },
    /// A line for each answer: how the cache took part, and what came from the origin.
    Nginx {
        log: PathBuf,
        cache: PathBuf,
    },
}

/// Whom an edge asks.
pub enum Origin {
    /// Over a relay, which leads to either release's server.
    Far,
    Beside(SocketAddr),
}

impl Edge {
    /// Starts one. Its commands are told once for all edges of a strategy.
    pub async fn start(setup: &mut Setup<'_>, name: &str, origin: Origin, told: Told) -> Result<Self, Missing> {
        let (back, asked) = match origin {
            Origin::Beside(address) => (None, address),
            Origin::Far => {
                let relay = Relay::bind(setup.ground.emulation.behind_edges()).await?;
                let address = relay.address();
                (Some(relay), address)
            }
        };
        let folder = setup.folder(&format!("edge-{}", name.replace(' ', "-")))?;
        let address = free_address()?;
        let (group, cache) = match (find("varnishd"), find("varnishstat")) {
            (Some(server), Some(statistics)) => {
                let group = varnish(setup, &server, &folder, address, asked, told).await?;
                (group, Cache::Varnish { folder: folder.join("state"), statistics })
            }
            _ => {
                let group = nginx::edge(setup, &folder, address, asked, told).await.map_err(|_| Missing {
                    reason: "there is neither varnishd nor nginx".to_owned(),
                    remedy: "apt-get install varnish".to_owned(),
                })?;
                (group, Cache::Nginx { log: folder.join("access.log"), cache: folder.join("cache") })
            }
        };
        Ok(Edge { name: name.to_owned(), address, group, cache, back, led: Mutex::default(), before: Mutex::default() })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn group(&self) -> u32 {
        self.group
    }

    /// From here on it finds its origin there. Where that is nothing new, its connections stay: edges keep theirs.
    pub async fn ask(&self, to: SocketAddr, round_trip: Duration, emulation: Emulation) {
        let way = Some((to, round_trip));
        let before = std::mem::replace(&mut *lock(&self.led), way);
        if let Some(back) = &self.back
            && before != way
        {
            let relayed = || Between { round_trip, link: Arc::new(Link::new(None, None)) };
            back.lead(Route { to, between: (emulation == Emulation::Relays).then(relayed) }).await;
        }
    }

    /// Forgets all that it holds. When it next asks its origin it has no connection there either, whoever visited before.
    pub async fn clear(&self) -> Result<(), String> {
        lock(&self.led).take();
        match &self.cache {
            Cache::Varnish { .. } => {
                let failed = |error: std::io::Error| format!("varnish does not answer: {error}");
                let mut connection = Connection::open(self.address).await.map_err(failed)?;
                match connection.ask(b"BAN / HTTP/1.1\r\nhost: edge\r\n\r\n").await {
                    Ok(answer) if answer.status == 200 => Ok(()),
                    Ok(answer) => Err(format!("varnish answers a ban with {}", answer.status)),
                    Err(error) => Err(format!("varnish does not answer a ban: {error}")),
                }
            }
            // What is gone from its folder is a miss.
            Cache::Nginx { cache, .. } => empty(cache).map_err(|error| error.to_string()),
        }
    }

    /// What it has counted since this was last asked.
    pub fn counted(&self) -> Option<Counts> {
        let now = self.counts()?;
        let mut before = lock(&self.before);
        let since = Counts {
            hits: now.hits.saturating_sub(before.hits),
            misses: now.misses.saturating_sub(before.misses),
            origin_bytes: now.origin_bytes.saturating_sub(before.origin_bytes),
        };
        *before = now;
        Some(since)
    }

    fn counts(&self) -> Option<Counts> {
        match &self.cache {
            Cache::Varnish { folder, statistics } => {
                let mut command = Command::new(statistics);
                let out = command.arg("-n").arg(folder).args(["-1", "-j"]).stdin(Stdio::null()).output().ok()?;
                varnish_counts(&out.stdout)
            }
            Cache::Nginx { log, .. } => Some(nginx_counts(&std::fs::read_to_string(log).ok()?)),
        }
    }
}

async fn varnish(
    setup: &mut Setup<'_>,
    server: &Path,
    folder: &Path,
    address: SocketAddr,
    origin: SocketAddr,
    told: Told,
) -> Result<u32, Missing> {
    let language = setup.file(folder, "edge.vcl", &vcl(origin), told)?;
    let launch = setup.launch(server, folder).args([
        "-F",
        "-j",
        "none",
        "-T",
        "none",
        "-s",
        "malloc,256m",
        "-p",
        "http_gzip_support=off",
        "-a",
    ]);
    let launch = launch.arg(address.to_string()).arg("-f").arg(language).arg("-n").arg(folder.join("state"));
    setup.program("varnish", server, "-V");
    setup.start(launch, address, told).await
}

/// What the manual has for a site's assets: codings as the origin gives them, kept as long as it says. Whoever may use an asset may use
/// it from here, too.
fn vcl(origin: SocketAddr) -> String {
    format!(
        r#"vcl 4.1;

backend origin {{
    .host = "{host}";
    .port = "{port}";
}}

sub vcl_recv {{
    # Empties the cache, between two measurements.
    if (req.method == "BAN") {{
        ban("obj.status != 0");
        return (synth(200, "empty"));
    }}
    # Whatever a browser writes there, there are three kinds of answers.
    if (req.http.Accept-Encoding ~ "br") {{
        set req.http.Accept-Encoding = "br";
    }} elsif (req.http.Accept-Encoding ~ "gzip") {{
        set req.http.Accept-Encoding = "gzip";
    }} else {{
        unset req.http.Accept-Encoding;
    }}
}}

sub vcl_hash {{
    # Every name of this edge is one site, whatever port it is reached at.
    hash_data(req.url);
    return (lookup);
}}

sub vcl_deliver {{
    set resp.http.Access-Control-Allow-Origin = "*";
    set resp.http.Timing-Allow-Origin = "*";
}}
"#,
        host = origin.ip(),
        port = origin.port()
    )
}

fn varnish_counts(json: &[u8]) -> Option<Counts> {
    let all: serde_json::Value = serde_json::from_slice(json).ok()?;
    let counters = all.get("counters").unwrap_or(&all);
    let value = |name: &str| counters[name]["value"].as_u64();
    Some(Counts {
        hits: value("MAIN.cache_hit")?,
        misses: value("MAIN.cache_miss")? + value("MAIN.s_pass")?,
        origin_bytes: value("VBE.boot.origin.beresp_hdrbytes")? + value("VBE.boot.origin.beresp_bodybytes")?,
    })
}

/// Lines of `STATUS BYTES`.
fn nginx_counts(log: &str) -> Counts {
    let mut counts = Counts::default();
    for line in log.lines() {
        let (status, bytes) = line.split_once(' ').unwrap_or((line, ""));
        match status {
            "HIT" => counts.hits += 1,
            _ => counts.misses += 1,
        }
        counts.origin_bytes += bytes.trim().parse::<u64>().unwrap_or(0);
    }
    counts
}

/// What is locked is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn empty(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            empty(&path)?;
        } else {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn an_edge_keeps_its_connections_until_it_is_emptied() {
        let origin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let to = origin.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut asked, _)) = origin.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = asked.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let back = Relay::bind(Ipv4Addr::LOCALHOST).await.unwrap();
        let way = back.address();
        let edge = Edge {
            name: "near".to_owned(),
            address: way,
            group: 0,
            cache: Cache::Nginx { log: folder.path().join("log"), cache: folder.path().to_owned() },
            back: Some(back),
            led: Mutex::default(),
            before: Mutex::default(),
        };
        let ask = || edge.ask(to, Duration::ZERO, Emulation::Relays);
        ask().await;
        let mut connection = TcpStream::connect(way).await.unwrap();
        for _ in 0..2 {
            connection.write_all(b"x").await.unwrap();
            assert_eq!(connection.read_u8().await.unwrap(), b'x');
            ask().await;
        }
        edge.clear().await.unwrap();
        ask().await;
        let end = tokio::time::timeout(Duration::from_secs(5), connection.read_u8()).await.expect("it ends");
        assert!(end.is_err(), "{end:?}");
    }

    #[test]
    fn statistics_are_read() {
        let json = br#"{"version": 1, "counters": {"MAIN.cache_hit": {"value": 7}, "MAIN.cache_miss": {"value": 2}, "MAIN.s_pass": {"value": 1},
            "VBE.boot.origin.beresp_hdrbytes": {"value": 100}, "VBE.boot.origin.beresp_bodybytes": {"value": 900}}}"#;
        assert_eq!(varnish_counts(json), Some(Counts { hits: 7, misses: 3, origin_bytes: 1000 }));
        assert_eq!(nginx_counts("HIT -\nMISS 120\nEXPIRED 30\n"), Counts { hits: 1, misses: 2, origin_bytes: 150 });
    }
}
