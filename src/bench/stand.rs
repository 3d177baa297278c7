//! A strategy that runs: where visitors find it, at whatever distance, and what it takes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::edge::Edge;
use super::load::{Origin, Reached};
use super::process::Meter;
use super::relay::{Link, Relay, Route};
use super::report::Network;

/// The round trip from where a visitor's network ends to the edge near them.
pub const EDGE_MS: f64 = 5.0;

/// Which release a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    First,
    Second,
}

impl Release {
    pub fn of<T>(self, [first, second]: &[T; 2]) -> &T {
        match self {
            Release::First => first,
            Release::Second => second,
        }
    }
}

/// From where somebody visits.
#[derive(Debug, Clone)]
pub struct Place {
    pub network: Network,
    /// Which of the distances it is, and so which edge is near.
    pub region: usize,
    pub origin_ms: f64,
    pub link: Arc<Link>,
}

impl Place {
    pub fn new(network: &Network, region: usize, origin_ms: f64) -> Self {
        let limit = |bits: u64| (bits > 0).then_some(bits);
        let link = Arc::new(Link::new(limit(network.down), limit(network.up)));
        Place { network: network.clone(), region, origin_ms, link }
    }

    /// The edge lies on the way.
    pub fn edge_ms(&self) -> f64 {
        EDGE_MS.min(self.origin_ms / 2.0)
    }
}

/// What is behind an address that visitors know.
#[derive(Debug)]
pub enum Behind {
    /// A server of its own for each release.
    Origin([SocketAddr; 2]),
    /// The edge that is near.
    Edge,
}

/// An address that visitors know: the way to it is as long as they are far.
#[derive(Debug)]
pub struct Door {
    pub relay: Relay,
    pub behind: Behind,
}

/// The edges of a strategy, and the origin that they ask.
pub struct Edges {
    /// One near each distance.
    pub near: Vec<Edge>,
    pub origins: [SocketAddr; 2],
    /// One beside the first release's origin, for load.
    pub loaded: Edge,
}

pub struct Stand {
    /// What visitors open.
    pub page: String,
    pub doors: Vec<Door>,
    pub edges: Option<Edges>,
    /// Of all that answers for the first release, with the edge for load.
    pub meter: Meter,
    /// Of who sends the pages, where an object store answers for the rest.
    pub pages: Option<Meter>,
    /// Whether a second release can be had.
    pub releases: bool,
    /// Whether it has a service worker, which is to be waited for.
    pub worker: bool,
    /// Servers of the user's that visitors go to directly, without a door: load may go to their hosts.
    pub reached: Vec<Reached>,
}

impl Stand {
    /// From here on visitors come from there, and find that release.
    pub fn set(&self, place: &Place, release: Release) {
        let ms = |ms: f64| Duration::from_secs_f64(ms.max(0.0) / 1000.0);
        for door in &self.doors {
            let (to, far) = match (&door.behind, &self.edges) {
                (Behind::Origin(servers), _) => (*release.of(servers), place.origin_ms),
                (Behind::Edge, Some(edges)) => match edges.near.get(place.region) {
                    Some(edge) => (edge.address(), place.edge_ms()),
                    None => continue,
                },
                (Behind::Edge, None) => continue,
            };
            let round_trip = ms(place.network.round_trip_ms + far);
            door.relay.lead(Route { to, round_trip, link: place.link.clone() });
        }
        if let Some(edges) = &self.edges
            && let Some(edge) = edges.near.get(place.region)
        {
            let round_trip = ms(place.origin_ms - place.edge_ms());
            edge.ask(Route { to: *release.of(&edges.origins), round_trip, link: Arc::new(Link::new(None, None)) });
        }
    }

    /// The server behind a door that answers when there is load: directly, as the machine has it.
    pub fn behind(&self, door: &Origin) -> Option<SocketAddr> {
        let is_it = |of: &&Door| door.host == "127.0.0.1" && of.relay.address().port() == door.port;
        let door = self.doors.iter().find(is_it)?;
        match (&door.behind, &self.edges) {
            (Behind::Origin(servers), _) => Some(servers[0]),
            (Behind::Edge, edges) => Some(edges.as_ref()?.loaded.address()),
        }
    }
}
