//! What a strategy costs in a month: from the bytes, requests and hit rates that were measured of it, and a price sheet.

use super::prices::{Assumptions, Cdn, Machine, Provider, Store, charge};

/// Page views in a month that costs are told for.
pub const SCALES: [f64; 6] = [1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// What one page view is, on average over first visits and others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// To the visitor, header fields included.
    pub bytes: f64,
    /// That leave the visitor's browser.
    pub requests: f64,
}

/// What is known of a strategy that costs follow from.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    pub view: View,
    /// Requests of a view that machines answer, where an object store answers the others.
    pub pages: f64,
    /// Microseconds of CPU per request, all of its processes together, or where there is a store those of the machines alone; none if it
    /// was not measured.
    pub cpu_us: Option<f64>,
    /// The share of requests that edges pass on; 1 without edges.
    pub missed: f64,
    /// Bytes that the origin sends to an edge for each request that the edge has; 0 without edges.
    pub origin_bytes: f64,
    /// Bytes that it keeps stored.
    pub stored: f64,
    /// Requests but those of pages end at an object store that bills them, rather than at machines.
    pub billed: bool,
    /// Bytes to visitors are a CDN's traffic.
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

impl Use {
    /// None where the provider has not what the strategy needs, or where its capacity is not known.
    pub fn bill(&self, provider: &Provider, assumed: &Assumptions, views: f64) -> Option<Bill> {
        let mut bill = Bill::default();
        let requests = views * self.view.requests;
        let gigabytes = views * self.view.bytes / provider.gigabyte;
        let (passed, passed_gigabytes) = match self.by_edge {
            true => (requests * self.missed, requests * self.origin_bytes / provider.gigabyte),
            false => (requests, gigabytes),
        };
        if self.by_edge {
            provider.cdn.as_ref()?.add(&mut bill, requests, gigabytes);
        }
        if self.billed {
            let store = provider.store.as_ref()?;
            let pages = views * self.pages.min(self.view.requests);
            let share = if self.by_edge { self.missed } else { 1.0 };
            store.add(&mut bill, (requests - pages) * share, self.stored / provider.gigabyte);
            bill.traffic += match self.by_edge {
                true => passed_gigabytes * store.to_cdn,
                false => charge(passed_gigabytes, &store.traffic),
            };
            // Pages come from machines; their few bytes are among the store's.
            let machine = provider.machine.as_ref()?;
            bill.machines = self.machines(machine, assumed, pages, 0.0)?;
            bill.machine_cost = f64::from(bill.machines) * machine.month;
        } else {
            let machine = provider.machine.as_ref()?;
            let bits = passed_gigabytes * provider.gigabyte * 8.0;
            bill.machines = self.machines(machine, assumed, passed, bits)?;
            bill.machine_cost = f64::from(bill.machines) * machine.month;
            let included = f64::from(bill.machines) * machine.included_traffic;
            bill.traffic += match self.by_edge {
                true => (passed_gigabytes - included).max(0.0) * machine.to_cdn,
                false => charge((passed_gigabytes - included).max(0.0), &machine.traffic),
            };
        }
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

    const APP: Use = Use {
        view: View { bytes: 500_000.0, requests: 10.0 },
        pages: 1.0,
        cpu_us: Some(1000.0),
        missed: 1.0,
        origin_bytes: 0.0,
        stored: 50e6,
        billed: false,
        by_edge: false,
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
        let light = Use { view: View { bytes: 20_000.0, ..APP.view }, ..APP };
        let cpu: f64 = 1e10 * 5.0 / (730.0 * 3600.0) * 1000.0 / 1.2e6;
        assert_eq!(aws(&light, 1e9).machines, cpu.ceil() as u32);
    }

    #[test]
    fn traffic_is_of_who_delivers_it() {
        let gibibytes = 1e6 * 500_000.0 / 1_073_741_824.0;
        near(aws(&APP, 1e6).traffic, (gibibytes - 100.0) * 0.09);
        let edge = Use { by_edge: true, missed: 0.1, origin_bytes: 5_000.0, ..APP };
        // Less than CloudFront's free terabyte, and what the origin sends to it is free.
        near(aws(&edge, 1e6).traffic, 0.0);
        near(aws(&edge, 1e7).traffic, (10.0 * gibibytes - 1024.0) * 0.085);
        near(aws(&edge, 1e7).requests, 90.0);
    }

    #[test]
    fn a_store_bills_what_reaches_it() {
        let store = Use { billed: true, ..APP };
        let bill = aws(&store, 1e6);
        assert_eq!(bill.machines, 1, "pages have to come from somewhere");
        assert_eq!(aws(&store, 1e9).machines, 2, "a tenth of the requests, and none of the traffic");
        near(bill.requests, 3.6);
        near(bill.storage, 50e6 / 1_073_741_824.0 * 0.023);
        let behind = Use { by_edge: true, missed: 0.05, origin_bytes: 2_500.0, ..store };
        near(aws(&behind, 1e6).requests, 0.18);
        let more = Use { pages: 3.0, cpu_us: Some(2000.0), ..store };
        assert_eq!(aws(&more, 1e9).machines, 10, "three requests a view, of 2 ms each");
        near(aws(&more, 1e6).requests, 2.8);
    }

    #[test]
    fn the_least_bill_is_paid_by_who_sends_little() {
        let prices = Prices::shipped().expect("a sheet");
        let fastly = prices.providers.iter().find(|provider| provider.name.contains("Fastly")).expect("Fastly");
        let edge = Use { by_edge: true, billed: true, ..APP };
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
        assert_eq!(bill(&Use { by_edge: true, ..APP }, &without), None);
        assert!(bill(&APP, &without).is_some());
    }
}
