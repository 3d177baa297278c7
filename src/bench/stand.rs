//! A strategy that runs: where visitors find it, at whatever distance, and what it takes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::edge::Edge;
use super::load::{Origin, Reached};
use super::netem::{self, Shape};
use super::process::Meter;
use super::relay::{Between, Link, Relay, Route};
use super::report::{Emulation, Network};

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

    /// The round trip from a visitor to what is so far from where their network ends.
    fn round_trip(&self, far_ms: f64) -> Duration {
        millis(self.network.round_trip_ms + far_ms)
    }

    /// The round trip from the edge to the origin.
    fn behind(&self) -> Duration {
        millis(self.origin_ms - self.edge_ms())
    }

    /// As the kernel makes it, with an edge on the way or without.
    fn shape(&self, edge: bool) -> Shape {
        Shape {
            up: self.network.up,
            down: self.network.down,
            origin: self.round_trip(self.origin_ms) / 2,
            edge: edge.then(|| self.round_trip(self.edge_ms()) / 2),
            back: if edge { self.behind() / 2 } else { Duration::ZERO },
        }
    }
}

fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.max(0.0) / 1000.0)
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
    pub emulation: Emulation,
}

impl Stand {
    /// From here on visitors come from there, and find that release.
    pub async fn set(&self, place: &Place, release: Release) -> Result<(), String> {
        // Whoever is hung up on hears of it at once, however far they were.
        self.clear()?;
        for door in &self.doors {
            let (to, far) = match (&door.behind, &self.edges) {
                (Behind::Origin(servers), _) => (*release.of(servers), place.origin_ms),
                (Behind::Edge, Some(edges)) => match edges.near.get(place.region) {
                    Some(edge) => (edge.address(), place.edge_ms()),
                    None => continue,
                },
                (Behind::Edge, None) => continue,
            };
            let relayed = || Between { round_trip: place.round_trip(far), link: place.link.clone() };
            let between = (self.emulation == Emulation::Relays).then(relayed);
            door.relay.lead(Route { to, between }).await;
        }
        if let Some(edges) = &self.edges
            && let Some(edge) = edges.near.get(place.region)
        {
            edge.ask(*release.of(&edges.origins), place.behind(), self.emulation).await;
        }
        match self.emulation {
            Emulation::Relays => Ok(()),
            Emulation::Netem => netem::lay(&place.shape(self.edges.is_some())).map_err(told),
        }
    }

    /// Nobody visits any more: what the kernel has laid between is gone.
    pub fn clear(&self) -> Result<(), String> {
        match self.emulation {
            Emulation::Relays => Ok(()),
            Emulation::Netem => netem::lift().map_err(told),
        }
    }

    /// The server behind a door that answers when there is load: directly, as the machine has it.
    pub fn behind(&self, door: &Origin) -> Option<SocketAddr> {
        let mut doors = self.doors.iter().map(|door| (door, door.relay.address()));
        let (door, _) = doors.find(|(_, at)| at.port() == door.port && at.ip().to_string() == door.host)?;
        match (&door.behind, &self.edges) {
            (Behind::Origin(servers), _) => Some(servers[0]),
            (Behind::Edge, edges) => Some(edges.as_ref()?.loaded.address()),
        }
    }
}

fn told(reason: String) -> String {
    format!("the kernel does not make the network: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_round_trip_is_one_way() {
        let network = Network { name: "4g".to_owned(), round_trip_ms: 50.0, down: 9_000_000, up: 3_000_000 };
        let place = Place::new(&network, 0, 150.0);
        let ms = Duration::from_millis;
        let shape = Shape { up: 3_000_000, down: 9_000_000, origin: ms(100), ..Shape::default() };
        assert_eq!(place.shape(false), shape);
        let edge = Some(Duration::from_micros(27_500));
        assert_eq!(place.shape(true), Shape { edge, back: Duration::from_micros(72_500), ..shape });
    }
}
