//! The connections that are open: how many there may be, and what each has to be told.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::vitals::{Order, Stage, Vitals, Watch};
use crate::serve::connections::Refusal;
use crate::serve::limits::{Limits, PER_ADDRESS};

/// The connections of a server. Clones are of the same.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    open: Mutex<Open>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, (Arc<Vitals>, Watch)>,
    addresses: HashMap<IpAddr, usize>,
    next: u64,
}

/// A connection's place among the open ones; it gives it up when dropped.
#[derive(Debug)]
pub struct Place {
    registry: Registry,
    number: u64,
    /// Where it is counted.
    address: Option<IpAddr>,
    pub vitals: Arc<Vitals>,
}

impl Registry {
    fn open(&self) -> usize {
        self.lock().connections.len()
    }

    /// Takes a connection in, if the limits allow.
    pub fn admit(&self, address: IpAddr, stage: Stage, limits: &Limits) -> Result<Place, Refusal> {
        let counted = match limits.per_address {
            Some(most) => Some((block(address), most)),
            None if address.to_canonical().is_loopback() => None,
            None => Some((block(address), PER_ADDRESS)),
        };
        let mut open = self.lock();
        if open.connections.len() >= limits.connections {
            return Err(Refusal::Full);
        }
        if let Some((block, most)) = counted {
            let held = open.addresses.entry(block).or_default();
            if *held >= most {
                return Err(Refusal::Address);
            }
            *held += 1;
        }
        let vitals = Arc::new(Vitals::new(stage));
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, (Arc::clone(&vitals), Watch::new(Instant::now())));
        Ok(Place { registry: self.clone(), number, address: counted.map(|(block, _)| block), vitals })
    }

    /// Looks at each connection, and tells it what it has to be told. Says how many were told to rest.
    pub fn look(&self, limits: &Limits) -> usize {
        let now = Instant::now();
        let mut resting = 0;
        for (vitals, watch) in self.lock().connections.values_mut() {
            if let Some(order) = watch.look(vitals, limits, now) {
                vitals.give(order);
                resting += usize::from(order == Order::Rest);
            }
        }
        resting
    }

    pub fn tell_all(&self, order: Order) {
        for (vitals, _) in self.lock().connections.values() {
            vitals.give(order);
        }
    }

    /// Waits until none is open.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.open() == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        open.connections.remove(&self.number);
        if let Some(address) = self.address
            && let Some(count) = open.addresses.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                open.addresses.remove(&address);
            }
        }
        // After a burst: what it took is given back.
        if open.connections.capacity() > 1024 && open.connections.len() < open.connections.capacity() / 8 {
            open.connections.shrink_to_fit();
        }
        if open.connections.is_empty() {
            self.registry.0.emptied.notify_waiters();
        }
    }
}

/// What one client has at least: an IPv4 address, or a network of IPv6 (RFC 6177: a site has a /64 or more).
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(registry: &Registry, address: &str, limits: &Limits) -> Result<Place, Refusal> {
        registry.admit(address.parse().unwrap(), Stage::Waiting, limits)
    }

    #[test]
    fn there_is_a_limit_in_all() {
        let registry = Registry::default();
        let limits = Limits { connections: 2, ..Limits::default() };
        let first = admit(&registry, "127.0.0.1", &limits).unwrap();
        let _second = admit(&registry, "192.0.2.1", &limits).unwrap();
        assert_eq!(admit(&registry, "192.0.2.2", &limits).unwrap_err(), Refusal::Full);
        drop(first);
        let _third = admit(&registry, "192.0.2.2", &limits).unwrap();
        assert_eq!(registry.open(), 2);
    }

    #[test]
    fn there_is_a_limit_per_address() {
        let registry = Registry::default();
        let limits = Limits { per_address: Some(1), ..Limits::default() };
        let first = admit(&registry, "192.0.2.1", &limits).unwrap();
        assert_eq!(admit(&registry, "192.0.2.1", &limits).unwrap_err(), Refusal::Address);
        assert!(admit(&registry, "::ffff:192.0.2.1", &limits).is_err(), "the same, mapped");
        let _other = admit(&registry, "192.0.2.2", &limits).unwrap();
        let _six = admit(&registry, "2001:db8::1", &limits).unwrap();
        assert!(admit(&registry, "2001:db8::2", &limits).is_err(), "the same network");
        let _far = admit(&registry, "2001:db8:0:1::1", &limits).unwrap();
        drop(first);
        assert!(admit(&registry, "192.0.2.1", &limits).is_ok());
    }

    #[test]
    fn proxies_on_this_machine_count_when_it_is_said() {
        let registry = Registry::default();
        let limits = Limits::default();
        let many: Vec<Place> = (0..=PER_ADDRESS).map(|_| admit(&registry, "127.0.0.1", &limits).unwrap()).collect();
        assert_eq!(registry.open(), many.len());
        let far: Vec<_> = (0..=PER_ADDRESS).map(|_| admit(&registry, "192.0.2.1", &limits)).collect();
        assert!(far[PER_ADDRESS - 1].is_ok() && far[PER_ADDRESS].is_err());
        let limits = Limits { per_address: Some(1), ..limits };
        let _first = admit(&registry, "::1", &limits).unwrap();
        assert!(admit(&registry, "::1", &limits).is_err());
    }

    #[tokio::test]
    async fn the_last_one_out_is_noticed() {
        let registry = Registry::default();
        registry.emptied().await;
        let place = admit(&registry, "127.0.0.1", &Limits::default()).unwrap();
        let waiting = tokio::spawn({
            let registry = registry.clone();
            async move { registry.emptied().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(place);
        waiting.await.unwrap();
    }
}
