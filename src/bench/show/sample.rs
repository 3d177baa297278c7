//! A report as a run might give, drawn by seeded chance: for tests of what is made of reports.

use std::collections::BTreeMap;

use super::super::report::{
    EdgeSample, Emulation, Fetch, From, Load, Machine, Measured, Missing, Network, Noise, Paced, Report, ServerSample,
    Settings, Site, VERSION, Visit, VisitKind, Way,
};

pub const ROUNDS: u32 = 5;

/// What a strategy is like.
#[derive(Clone)]
struct Nature {
    name: &'static str,
    way: Option<Way>,
    title: &'static str,
    /// Microseconds of CPU per request.
    cpu: f64,
    /// Cores that it can use.
    cores: f64,
    memory: u64,
    /// Microseconds of a usual answer.
    latency: f64,
    /// Requests of a first and of a repeat visit.
    requests: [usize; 2],
    edge: bool,
    store: bool,
    worker: bool,
}

const APP: Nature = Nature {
    name: "app",
    way: Some(Way::App),
    title: "Flask sends its own files",
    cpu: 900.0,
    cores: 1.0,
    memory: 92_000_000,
    latency: 2_100.0,
    requests: [14, 14],
    edge: false,
    store: false,
    worker: false,
};

fn natures() -> Vec<Nature> {
    let proxy = Nature { way: Some(Way::Proxy), cores: 2.0, requests: [14, 5], ..APP };
    vec![
        APP,
        Nature {
            name: "proxy-nginx",
            title: "nginx in front of the application",
            cpu: 55.0,
            memory: 24_000_000,
            latency: 260.0,
            ..proxy.clone()
        },
        Nature {
            name: "proxy-fingerpost",
            title: "fingerpost serve --upstream",
            cpu: 38.0,
            memory: 31_000_000,
            latency: 230.0,
            requests: [14, 1],
            ..proxy.clone()
        },
        Nature {
            name: "cdn-varnish",
            way: Some(Way::Cdn),
            title: "two edges in front of the origin",
            cpu: 60.0,
            memory: 140_000_000,
            latency: 300.0,
            requests: [14, 1],
            edge: true,
            ..proxy.clone()
        },
        Nature {
            name: "bundles",
            way: Some(Way::Bundles),
            title: "Flask with bundles of Flask-Assets",
            cpu: 880.0,
            cores: 1.0,
            memory: 95_000_000,
            latency: 2_000.0,
            requests: [8, 8],
            ..proxy.clone()
        },
        Nature {
            name: "storage",
            way: Some(Way::Storage),
            title: "a bucket behind an edge",
            cpu: 120.0,
            memory: 60_000_000,
            latency: 500.0,
            requests: [14, 1],
            edge: true,
            store: true,
            ..proxy.clone()
        },
        Nature {
            name: "worker",
            way: Some(Way::Worker),
            title: "fingerpost serve with a service worker",
            cpu: 38.5,
            memory: 31_500_000,
            latency: 232.0,
            requests: [14, 1],
            worker: true,
            ..proxy.clone()
        },
        Nature {
            name: "mine",
            way: None,
            title: "what the site has now <b>&amp; \"more\"</b>",
            cpu: 140.0,
            memory: 48_000_000,
            latency: 420.0,
            requests: [14, 6],
            ..proxy
        },
    ]
}

pub fn report() -> Report {
    let mut rng = fastrand::Rng::with_seed(42);
    let mut strategies: Vec<Measured> = natures().iter().map(|nature| measured(nature, &mut rng)).collect();
    strategies.push(Measured {
        missing: Some(Missing {
            reason: "apache2 is not installed".to_owned(),
            remedy: "apt-get install apache2".to_owned(),
        }),
        ..empty("proxy-apache", Some(Way::Proxy), "Apache in front of the application")
    });
    let noise = natures().into_iter().find(|nature| nature.name == "proxy-nginx").map(|nature| {
        let again = measured(&nature, &mut rng);
        Noise { strategy: nature.name.to_owned(), servers: again.servers, visits: again.visits }
    });
    Report {
        version: VERSION,
        program: "fingerpost 0.1.0".to_owned(),
        begun: "2026-11-26T10:00:00Z".to_owned(),
        seconds: 754.0,
        machine: Machine {
            cpu: "Example CPU @ 3.00GHz".to_owned(),
            cores: 4,
            memory: 8_200_000_000,
            system: "Linux 6.1.0".to_owned(),
        },
        programs: [("chromium", "140.0"), ("nginx", "1.22.1")]
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .into(),
        settings: settings(),
        site: Site {
            name: "sample <site>".to_owned(),
            pages: 5,
            files: 48,
            bytes: 2_340_000,
            changed: "css/site.css".to_owned(),
            requests: (0..14).map(|at| format!("/static/{at}")).collect(),
        },
        strategies,
        noise,
        warnings: Vec::new(),
    }
}

fn settings() -> Settings {
    let network =
        |name: &str, round_trip_ms: f64, down: u64, up: u64| Network { name: name.to_owned(), round_trip_ms, down, up };
    Settings {
        app: None,
        store: None,
        quick: false,
        rounds: ROUNDS,
        seconds: 5.0,
        connections: 32,
        rate: 400.0,
        seed: 7,
        page: "/".to_owned(),
        networks: vec![
            network("fibre", 4.0, 100_000_000, 40_000_000),
            network("4g", 50.0, 9_000_000, 4_000_000),
            network("slow-3g", 300.0, 400_000, 400_000),
        ],
        emulation: Emulation::Relays,
        distances_ms: vec![10.0, 50.0, 150.0],
        strategies: natures().iter().map(|nature| nature.name.to_owned()).collect(),
    }
}

fn empty(name: &str, way: Option<Way>, title: &str) -> Measured {
    Measured {
        name: name.to_owned(),
        way,
        title: title.to_owned(),
        description: "Started by the bench and stopped after it.".to_owned(),
        missing: None,
        commands: Vec::new(),
        configurations: BTreeMap::new(),
        servers: Vec::new(),
        visits: Vec::new(),
        edges: Vec::new(),
        stored_bytes: 0,
        billed_requests: false,
        delivered_by_edge: false,
    }
}

fn measured(nature: &Nature, rng: &mut fastrand::Rng) -> Measured {
    let mut visits = Vec::new();
    let places = [("fibre", 50.0), ("slow-3g", 50.0), ("4g", 10.0), ("4g", 50.0), ("4g", 150.0)];
    for round in 0..ROUNDS {
        for (network, origin) in places {
            for kind in [VisitKind::First, VisitKind::Repeat, VisitKind::AfterRelease] {
                for warm in if nature.edge { &[false, true][..] } else { &[false][..] } {
                    visits.push(visit(nature, round, kind, network, origin, *warm, rng));
                }
            }
        }
    }
    let edge = |round: u32, cold: bool| EdgeSample {
        round,
        edge: "near".to_owned(),
        cold,
        hits: if cold { 0 } else { 1330 },
        misses: if cold { 14 } else { 70 },
        origin_bytes: if cold { 420_000 } else { 600_000 },
    };
    Measured {
        commands: vec![format!("{} --config sample.conf", nature.name)],
        configurations: [(
            "sample.conf".to_owned(),
            "listen 127.0.0.1:8080;\n</pre><script>alert(1)</script>".to_owned(),
        )]
        .into(),
        servers: (0..ROUNDS).map(|round| server(nature, round, rng)).collect(),
        edges: if nature.edge {
            (0..ROUNDS).flat_map(|round| [edge(round, true), edge(round, false)]).collect()
        } else {
            Vec::new()
        },
        stored_bytes: 6_400_000,
        billed_requests: nature.store,
        delivered_by_edge: nature.edge,
        visits,
        ..empty(nature.name, nature.way, nature.title)
    }
}

/// Around 1, by some percent, more often a little than much.
fn about(rng: &mut fastrand::Rng, percent: f64) -> f64 {
    let sum: f64 = (0..4).map(|_| rng.f64() - 0.5).sum();
    1.0 + sum * percent / 50.0
}

fn server(nature: &Nature, round: u32, rng: &mut fastrand::Rng) -> ServerSample {
    let cpu = nature.cpu * about(rng, 2.0);
    // What the asking takes of the four cores is not the server's.
    let cores = nature.cores.min(4.0 * cpu / (cpu + 30.0));
    let requests = (5.0 * cores * 1e6 / cpu) as u64;
    let load = |requests: u64, cpu: f64| Load {
        seconds: 5.0,
        requests,
        errors: 0,
        bytes: requests * 30_000,
        server_cpu_us: (requests as f64 * cpu) as u64,
        client_cpu_us: requests * 30,
    };
    let mut latencies: BTreeMap<u64, u64> = BTreeMap::new();
    for _ in 0..2000 {
        let tail = if rng.f64() < 0.015 { 6.0 + 10.0 * rng.f64() } else { 1.0 };
        let micros = nature.latency * tail * (0.75 + 0.25 * about(rng, 30.0) - 0.25 * (1.0 - rng.f64()).ln());
        let width = 1 << (64 - (micros as u64).leading_zeros()).saturating_sub(8);
        *latencies.entry((micros as u64).div_ceil(width) * width).or_default() += 1;
    }
    ServerSample {
        round,
        saturated: load(requests, cpu),
        pages: None,
        paced: Paced { load: load(2000, cpu), rate: 400.0, unsent: 0, latencies: latencies.into_iter().collect() },
        memory: (nature.memory as f64 * about(rng, 1.0)) as u64,
    }
}

fn visit(
    nature: &Nature,
    round: u32,
    kind: VisitKind,
    network: &str,
    origin_ms: f64,
    edge_warm: bool,
    rng: &mut fastrand::Rng,
) -> Visit {
    let (trip, down) = match network {
        "fibre" => (4.0, 100e6),
        "4g" => (50.0, 9e6),
        _ => (300.0, 0.4e6),
    };
    let far = if nature.edge && edge_warm { 0.0 } else { origin_ms };
    let trip = (trip + far) * about(rng, 4.0);
    let asked = match kind {
        VisitKind::First => nature.requests[0],
        VisitKind::Repeat => nature.requests[1],
        VisitKind::AfterRelease | VisitKind::AfterReleaseCold => nature.requests[1].max(2),
    };
    let names = [
        "/",
        "css/site.css",
        "css/print.css",
        "js/main.js",
        "js/menu.js",
        "js/vendor.js",
        "js/late.js",
        "fonts/text.woff2",
    ];
    let first_byte_ms = if nature.worker && kind == VisitKind::Repeat { 8.0 } else { 2.0 * trip + 3.0 };
    let mut at = first_byte_ms;
    let mut fetches = Vec::new();
    for index in 0..nature.requests[0] {
        let name = names.get(index).map_or(format!("img/picture-{index}.webp"), |name| (*name).to_owned());
        let fetched = index < asked;
        let bytes = if index == 0 { 9_000 } else { 18_000 + 3_000 * (index as u64 % 5) };
        let start = if index == 0 { 0.0 } else { first_byte_ms + 4.0 + index as f64 };
        let (wait, get) = if fetched { (trip, bytes as f64 * 8000.0 / down) } else { (0.6, 0.4) };
        let first = if index == 0 { first_byte_ms } else { start + wait };
        at = at.max(first) + if fetched { get } else { 0.2 };
        fetches.push(Fetch {
            url: if name == "/" { "https://site.test/".to_owned() } else { format!("https://site.test/static/{name}") },
            kind: match name.split('/').next() {
                Some("css") => "stylesheet",
                Some("js") => "script",
                Some("fonts") => "font",
                Some("img") => "image",
                _ => "document",
            }
            .to_owned(),
            status: 200,
            from: match (fetched, nature.worker) {
                (true, _) => From::Network,
                (false, true) => From::Worker,
                (false, false) => From::Cache,
            },
            bytes: if fetched { bytes } else { 0 },
            start_ms: start,
            first_byte_ms: first,
            end_ms: at,
        });
    }
    Visit {
        round,
        kind,
        network: network.to_owned(),
        origin_ms,
        edge_ms: nature.edge.then_some(5.0),
        edge_warm,
        first_byte_ms,
        first_paint_ms: Some(first_byte_ms + trip * 0.6 + 30.0),
        largest_paint_ms: Some(at * 0.8 + 30.0),
        load_ms: at + 12.0,
        fetches,
    }
}
