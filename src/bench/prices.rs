//! The price sheet: what providers ask for, and what is assumed of the visitors.

use serde::Deserialize;

use crate::config::read_toml;
use crate::error::{Error, Fault, Result};

const SHIPPED: &str = include_str!("prices.toml");

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    pub currency: String,
    pub assumptions: Assumptions,
    /// The first is the one that is shown where only one can be.
    #[serde(rename = "provider")]
    pub providers: Vec<Provider>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    /// The share of page views by somebody whose browser still has what an earlier view fetched.
    pub repeat_visits: f64,
    /// Page views by such a person from one release to the next.
    pub views_per_release: f64,
    /// The busiest minute next to the month's mean.
    pub peak_factor: f64,
    /// Of a machine's CPU and network at the peak.
    pub utilisation: f64,
    pub least_machines: u32,
    /// In a month.
    pub hours: f64,
    /// What costs no more than this in a month is low.
    pub low_bill: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    pub name: String,
    /// Bytes in what it calls a gigabyte.
    pub gigabyte: f64,
    pub machine: Option<Machine>,
    pub store: Option<Store>,
    pub cdn: Option<Cdn>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    pub name: String,
    pub vcpus: f64,
    /// Gigabits per second that it keeps up.
    pub gbit: f64,
    /// Of one machine.
    pub month: f64,
    /// Gigabytes a month that each machine brings with it.
    #[serde(default)]
    pub included_traffic: f64,
    pub traffic: Vec<Tier>,
    /// Of a gigabyte to the provider's CDN.
    pub to_cdn: f64,
    pub published: Published,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub name: String,
    /// Of a gigabyte in a month.
    pub storage: Vec<Tier>,
    pub reads_per_million: Vec<Tier>,
    pub traffic: Vec<Tier>,
    pub to_cdn: f64,
    pub published: Published,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cdn {
    pub name: String,
    /// What it costs at least, and what it costs before anything is sent.
    #[serde(default)]
    pub least: f64,
    #[serde(default)]
    pub month: f64,
    pub traffic: Vec<Tier>,
    pub requests_per_million: Vec<Tier>,
    pub published: Published,
}

/// Where a price comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub source: String,
    pub as_of: String,
    pub checked: bool,
    #[serde(default)]
    pub note: String,
}

/// The price of each unit in it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Units in a month; without it, all further ones.
    pub up_to: Option<f64>,
    pub price: f64,
}

impl Prices {
    /// The sheet that the program has with it.
    pub fn shipped() -> Result<Self> {
        Self::parse("prices.toml", SHIPPED)
    }

    /// A sheet of the user's.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let prices: Prices = read_toml(name, text).map_err(Error::Config)?;
        prices.check().map_err(|message| {
            Error::Config(Fault::new(format!("{message} in the price sheet `{name}`")).hint(
                "take the sheet that the program has with it as an example: `src/bench/prices.toml` in its sources",
            ))
        })?;
        Ok(prices)
    }

    fn check(&self) -> Result<(), String> {
        let Assumptions { repeat_visits, views_per_release, peak_factor, utilisation, hours, .. } = self.assumptions;
        let sound = [
            ("`repeat_visits` is not from 0 to 1", (0.0..=1.0).contains(&repeat_visits)),
            ("`views_per_release` is less than 1", views_per_release >= 1.0),
            ("`peak_factor` is less than 1", peak_factor >= 1.0),
            ("`utilisation` is not above 0 and at most 1", utilisation > 0.0 && utilisation <= 1.0),
            ("`hours` is not above 0", hours > 0.0),
            ("there is no `[[provider]]`", !self.providers.is_empty()),
        ];
        if let Some((message, _)) = sound.iter().find(|(_, sound)| !sound) {
            return Err((*message).to_owned());
        }
        self.providers.iter().try_for_each(Provider::check)
    }
}

impl Provider {
    fn check(&self) -> Result<(), String> {
        if self.gigabyte.is_nan() || self.gigabyte <= 0.0 {
            return Err(format!("`gigabyte` of `{}` is not above 0", self.name));
        }
        let machine = self.machine.iter().map(|machine| (&machine.name, &machine.traffic));
        let store = self.store.iter().flat_map(|store| {
            [&store.storage, &store.reads_per_million, &store.traffic].map(|tiers| (&store.name, tiers))
        });
        let cdn =
            self.cdn.iter().flat_map(|cdn| [&cdn.traffic, &cdn.requests_per_million].map(|tiers| (&cdn.name, tiers)));
        machine.chain(store).chain(cdn).try_for_each(|(name, tiers)| check(name, tiers))?;
        match self.machine.iter().find(|machine| !(machine.vcpus > 0.0 && machine.gbit > 0.0)) {
            Some(machine) => Err(format!("`{}` has no CPU or no network", machine.name)),
            None => Ok(()),
        }
    }

    /// The prices that it asks for, by what for.
    pub fn published(&self) -> impl Iterator<Item = (&str, &Published)> {
        let machine = self.machine.iter().map(|machine| (machine.name.as_str(), &machine.published));
        let store = self.store.iter().map(|store| (store.name.as_str(), &store.published));
        let cdn = self.cdn.iter().map(|cdn| (cdn.name.as_str(), &cdn.published));
        machine.chain(store).chain(cdn)
    }
}

fn check(name: &str, tiers: &[Tier]) -> Result<(), String> {
    let ends: Vec<f64> = tiers.iter().map(|tier| tier.up_to.unwrap_or(f64::INFINITY)).collect();
    if ends.last() != Some(&f64::INFINITY) {
        return Err(format!("the last tier of a price of `{name}` has an end, so there is no price beyond it"));
    }
    if ends.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(format!("the tiers of a price of `{name}` do not go up"));
    }
    match tiers.iter().any(|tier| tier.price.is_nan() || tier.price < 0.0) {
        true => Err(format!("a price of `{name}` is below 0")),
        false => Ok(()),
    }
}

/// What so many units cost, each at the price of the tier that it falls into.
pub fn charge(units: f64, tiers: &[Tier]) -> f64 {
    let mut begin = 0.0;
    let mut sum = 0.0;
    for tier in tiers {
        let end = tier.up_to.unwrap_or(f64::INFINITY);
        sum += (units.min(end) - begin).max(0.0) * tier.price;
        begin = end;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_that_comes_along_is_sound() {
        let prices = Prices::shipped().expect("a sound sheet");
        assert!(prices.providers.iter().all(|provider| provider.machine.is_some()));
        for (name, published) in prices.providers.iter().flat_map(Provider::published) {
            assert!(published.source.starts_with("https://"), "{name}: {}", published.source);
            assert_eq!(published.as_of.len(), "2026-01-01".len(), "{name}");
            assert!(published.checked || published.note.contains("check"), "{name}: what is not checked says so");
        }
    }

    #[test]
    fn units_are_charged_by_the_tier_that_they_fall_into() {
        let tiers = [(Some(100.0), 0.0), (Some(1000.0), 0.1), (None, 0.05)].map(|(up_to, price)| Tier { up_to, price });
        for (units, want) in [(0.0, 0.0), (100.0, 0.0), (150.0, 5.0), (1000.0, 90.0), (3000.0, 190.0)] {
            assert!((charge(units, &tiers) - want).abs() < 1e-9, "{units}");
        }
    }

    #[test]
    fn an_unsound_sheet_is_refused_with_its_reason() {
        for (from, to, want) in [
            ("repeat_visits = 0.5", "repeat_visits = 1.5", "`repeat_visits` is not from 0 to 1"),
            ("utilisation = 0.6", "utilisation = 0", "`utilisation` is not above 0"),
            ("{ up_to = 512000, price = 0.022 }, { price = 0.021 }", "{ up_to = 512000, price = 0.1 }", "has an end"),
            ("{ price = 0.40 }", "{ up_to = 9, price = 1 }, { up_to = 8, price = 1 }, { price = 1 }", "do not go up"),
            ("{ price = 0.40 }", "{ price = -0.4 }", "below 0"),
            ("vcpus = 2", "vcpus = 0", "no CPU"),
            ("low_bill", "low_bil", "unknown key `low_bil`"),
        ] {
            let text = SHIPPED.replacen(from, to, 1);
            assert_ne!(text, SHIPPED, "{from}");
            let error = Prices::parse("mine.toml", &text).expect_err(want);
            assert!(error.to_string().contains(want), "{error} instead of {want}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
