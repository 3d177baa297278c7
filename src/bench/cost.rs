//! What a strategy costs in a month: from the bytes, requests and hit rates that were measured of it, and a price sheet.

use super::prices::{Assumptions, Cdn, Machine, Provider, Store, charge};

/// Page views in a month that costs are told for.
pub const SCALES: [f64; 6] = [1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// What of one page view goes one way, on average over first visits and others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct View {
    /// To the visitor, header fields included.
    pub bytes: f64,
    /// That leave the visitor's browser.
    pub requests: f64,
}

/// What is known of a strategy that costs follow from.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// What machines answer visitors themselves.
    pub direct: View,
    /// What edges or an object store answer; nothing where there are neither.
    pub elsewhere: View,
    /// Microseconds of CPU per request, all of its processes together, or where there is a store those of the machines alone; none if it
    /// was not measured.
    pub cpu_us: Option<f64>,
    /// The share of requests that edges pass on; 1 without edges.
    pub missed: f64,
    /// Bytes that the origin sends to an edge for each request that the edge has; 0 without edges.
    pub origin_bytes: f64,
    /// Bytes that it keeps stored.
    pub stored: f64,
    /// What is answered elsewhere ends at an object store that bills it, rather than at machines.
    pub billed: bool,
    /// What is answered elsewhere is a CDN's traffic.
    pub by_edge: bool,
}

/// A month's bill.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bill {
    pub machines: u32,
    pub machine_cost: f64,
    /// Of bytes, to visitors and to edges.
    pub traffic: f64,
    /// Of requests, at the CDN and at the store.
    pub requests: f64,
    pub storage: f64,
    /// What has to be paid whatever is sent.
    pub fixed: f64,
}

impl Bill {
    pub fn total(&self) -> f64 {
        self.machine_cost + self.traffic + self.requests + self.storage + self.fixed
    }
}

impl Assumptions {
    /// The shares of page views: by new visitors, by returning ones, and by returning ones after a release.
    pub fn shares(&self) -> [f64; 3] {
        let after = self.repeat_visits / self.views_per_release;
        [1.0 - self.repeat_visits, self.repeat_visits - after, after]
    }
}

impl View {
    /// So much of it, the rest being something else's.
    pub fn without(self, part: View) -> View {
        View { bytes: (self.bytes - part.bytes).max(0.0), requests: (self.requests - part.requests).max(0.0) }
    }
}

impl Use {
    /// A whole page view.
    pub fn view(&self) -> View {
        let (a, b) = (self.direct, self.elsewhere);
        View { bytes: a.bytes + b.bytes, requests: a.requests + b.requests }
    }

    /// None where the provider has not what the strategy needs, or where its capacity is not known.
    pub fn bill(&self, provider: &Provider, assumed: &Assumptions, views: f64) -> Option<Bill> {
        let mut bill = Bill::default();
        let gigabytes = |bytes: f64| views * bytes / provider.gigabyte;
        let asked = views * self.elsewhere.requests;
        if self.by_edge {
            provider.cdn.as_ref()?.add(&mut bill, asked, gigabytes(self.elsewhere.bytes));
        }
        // What edges don't have themselves; without edges, all.
        let (passed, passed_gigabytes) = match self.by_edge {
            true => (asked * self.missed, gigabytes(self.elsewhere.requests * self.origin_bytes)),
            false => (asked, gigabytes(self.elsewhere.bytes)),
        };
        let (mut answered, mut to_cdn) = (views * self.direct.requests, 0.0);
        if self.billed {
            let store = provider.store.as_ref()?;
            store.add(&mut bill, passed, self.stored / provider.gigabyte);
            bill.traffic += match self.by_edge {
                true => passed_gigabytes * store.to_cdn,
                false => charge(passed_gigabytes, &store.traffic),
            };
        } else {
            answered += passed;
            to_cdn = passed_gigabytes;
        }
        let machine = provider.machine.as_ref()?;
        let to_visitors = gigabytes(self.direct.bytes);
        let bits = (to_visitors + to_cdn) * provider.gigabyte * 8.0;
        bill.machines = self.machines(machine, assumed, answered, bits)?;
        bill.machine_cost = f64::from(bill.machines) * machine.month;
        let included = f64::from(bill.machines) * machine.included_traffic;
        let left = (included - to_visitors).max(0.0);
        bill.traffic += charge((to_visitors - included).max(0.0), &machine.traffic);
        bill.traffic += (to_cdn - left).max(0.0) * machine.to_cdn;
        Some(bill)
    }

    /// As many as the peak takes, by CPU and by network, each used no further than is wanted.
    fn machines(&self, machine: &Machine, assumed: &Assumptions, requests: f64, bits: f64) -> Option<u32> {
        let peak = assumed.peak_factor / (assumed.hours * 3600.0);
        let cpu = requests * peak * self.cpu_us? / (machine.vcpus * 1e6 * assumed.utilisation);
        let network = bits * peak / (machine.gbit * 1e9 * assumed.utilisation);
        Some((cpu.max(network).ceil() as u32).max(assumed.least_machines))
    }
}

impl Cdn {
    fn add(&self, bill: &mut Bill, requests: f64, gigabytes: f64) {
        let traffic = charge(gigabytes, &self.traffic);
        let asked = charge(requests / 1e6, &self.requests_per_million);
        bill.traffic += traffic;
        bill.requests += asked;
        bill.fixed += self.month + (self.least - traffic - asked - self.month).max(0.0);
    }
}

impl Store {
    fn add(&self, bill: &mut Bill, requests: f64, gigabytes: f64) {
        bill.requests += charge(requests / 1e6, &self.reads_per_million);
        bill.storage += charge(gigabytes, &self.storage);
    }
}

#[cfg(test)]
mod tests {
    use super::super::prices::Prices;
    use super::*;

    const NOTHING: View = View { bytes: 0.0, requests: 0.0 };

    const APP: Use = Use {
        direct: View { bytes: 500_000.0, requests: 10.0 },
        elsewhere: NOTHING,
        cpu_us: Some(1000.0),
        missed: 1.0,
        origin_bytes: 0.0,
        stored: 50e6,
        billed: false,
        by_edge: false,
    };

    /// All by edges.
    const EDGE: Use =
        Use { direct: NOTHING, elsewhere: APP.direct, missed: 0.1, origin_bytes: 5_000.0, by_edge: true, ..APP };

    /// Pages by machines.
    const STORE: Use = Use {
        direct: View { bytes: 20_000.0, requests: 1.0 },
        elsewhere: View { bytes: 480_000.0, requests: 9.0 },
        billed: true,
        ..APP
    };

    fn aws(this: &Use, views: f64) -> Bill {
        let prices = Prices::shipped().expect("a sheet");
        this.bill(&prices.providers[0], &prices.assumptions, views).expect("a bill")
    }

    #[track_caller]
    fn near(found: f64, want: f64) {
        assert!((found - want).abs() < 0.01 * want.max(0.01), "{found} instead of {want}");
    }

    #[test]
    fn machines_are_as_many_as_the_peak_takes() {
        // 10 million requests in 730 hours are 3.8 a second, 19 at the peak: 19 ms of CPU each second, of 1.2 s to be used.
        assert_eq!(aws(&APP, 1e6).machines, 1);
        // A thousand times as many: 19 s of CPU each second, and 9.5e9 × 8 bits × … of network: 7.6 Gbit/s at the peak, of 0.56 each.
        let busy = aws(&APP, 1e9);
        assert_eq!(busy.machines, 16);
        near(busy.machine_cost, 16.0 * 59.57);
        let light = Use { direct: View { bytes: 20_000.0, ..APP.direct }, ..APP };
        let cpu: f64 = 1e10 * 5.0 / (730.0 * 3600.0) * 1000.0 / 1.2e6;
        assert_eq!(aws(&light, 1e9).machines, cpu.ceil() as u32);
    }

    #[test]
    fn traffic_is_of_who_delivers_it() {
        let gibibytes = 1e6 * 500_000.0 / 1_073_741_824.0;
        near(aws(&APP, 1e6).traffic, (gibibytes - 100.0) * 0.09);
        // Less than CloudFront's free terabyte, and what the origin sends to it is free.
        near(aws(&EDGE, 1e6).traffic, 0.0);
        near(aws(&EDGE, 1e7).traffic, (10.0 * gibibytes - 1024.0) * 0.085);
        near(aws(&EDGE, 1e7).requests, 90.0);
    }

    #[test]
    fn what_edges_do_not_deliver_comes_from_machines() {
        let hybrid = Use { direct: STORE.direct, elsewhere: STORE.elsewhere, missed: 0.0, origin_bytes: 0.0, ..EDGE };
        let gibibytes = 1e9 * 20_000.0 / 1_073_741_824.0;
        // 1,903 pages a second at the peak, of 1 ms each, on machines that have 1.2 s to give.
        assert_eq!(aws(&hybrid, 1e9).machines, 2, "edges have all but the pages");
        let assets = Use { direct: NOTHING, ..hybrid };
        assert_eq!(aws(&assets, 1e9).machines, 1);
        let prices = Prices::shipped().expect("a sheet");
        let machine = prices.providers[0].machine.as_ref().expect("a machine");
        near(aws(&hybrid, 1e9).traffic - aws(&assets, 1e9).traffic, charge(gibibytes, &machine.traffic));
        // A tenth of nine requests of each view come back.
        assert_eq!(aws(&Use { missed: 0.1, ..hybrid }, 1e9).machines, 4);
    }

    #[test]
    fn a_store_bills_what_reaches_it() {
        let bill = aws(&STORE, 1e6);
        assert_eq!(bill.machines, 1, "pages have to come from somewhere");
        assert_eq!(aws(&STORE, 1e9).machines, 2, "a tenth of the requests, and little of the traffic");
        near(bill.requests, 3.6);
        near(bill.storage, 50e6 / 1_073_741_824.0 * 0.023);
        let behind = Use { by_edge: true, missed: 0.05, origin_bytes: 2_500.0, ..STORE };
        near(aws(&behind, 1e6).requests, 0.18);
        let pages = View { requests: 3.0, ..STORE.direct };
        let more = Use { direct: pages, elsewhere: APP.direct.without(pages), cpu_us: Some(2000.0), ..STORE };
        assert_eq!(aws(&more, 1e9).machines, 10, "three requests a view, of 2 ms each");
        near(aws(&more, 1e6).requests, 2.8);
    }

    #[test]
    fn the_least_bill_is_paid_by_who_sends_little() {
        let prices = Prices::shipped().expect("a sheet");
        let fastly = prices.providers.iter().find(|provider| provider.name.contains("Fastly")).expect("Fastly");
        let edge = Use { billed: true, missed: 1.0, origin_bytes: 0.0, ..EDGE };
        let bill = edge.bill(fastly, &prices.assumptions, 1e4).expect("a bill");
        near(
            bill.traffic + bill.requests - charge(0.1, &fastly.store.as_ref().expect("a store").reads_per_million)
                + bill.fixed,
            50.0,
        );
    }

    #[test]
    fn nothing_is_told_of_what_is_not_known() {
        let prices = Prices::shipped().expect("a sheet");
        let bill = |this: &Use, provider: &Provider| this.bill(provider, &prices.assumptions, 1e6);
        let aws = &prices.providers[0];
        assert_eq!(bill(&Use { cpu_us: None, ..APP }, aws), None);
        let without = Provider { cdn: None, ..aws.clone() };
        assert_eq!(bill(&EDGE, &without), None);
        assert!(bill(&APP, &without).is_some());
    }
}
