//! Networks that the kernel makes: `tc netem` on the loopback device of a network namespace which the bench has to itself.
//!
//! Nothing outside is touched. What goes to three addresses or comes from them is held back, whoever opens the connection, so that TCP does all
//! that it does over a real way: handshakes, slow start in segments of 1448 bytes, windows. All else on loopback stays as it is. Load on
//! servers meets no queue at all, since there is one only while somebody visits.

mod namespace;
#[cfg(test)]
mod proof;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::process::{find, version};
use super::report::Emulation;
pub use namespace::enter;

/// Of doors that lead to an origin.
const ORIGIN: Ipv4Addr = Ipv4Addr::new(127, 0, 10, 1);

/// Of doors that lead to an edge.
const EDGE: Ipv4Addr = Ipv4Addr::new(127, 0, 10, 2);

/// Of all doors.
const VISITORS: &str = "127.0.10.0/24";

/// Of what edges ask.
const BACK: Ipv4Addr = Ipv4Addr::new(127, 0, 20, 1);

/// Packets that wait before a slow link, as many as netem has by default. What is on its way comes on top.
const WAITING: u64 = 1000;

/// Packets where no rate says how many can be on their way: more than all windows hold.
const MANY: u64 = 100_000;

/// Bytes of a full packet.
const PACKET: u64 = 1500;

/// Nothing is of a band's own choosing: what no filter names is in the first.
const PRIOMAP: &str = "priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0";

impl Emulation {
    /// Where visitors are listened to who are led to an origin.
    pub fn before_origins(self) -> Ipv4Addr {
        self.address(ORIGIN)
    }

    /// Where visitors are listened to who are led to the edge near them.
    pub fn before_edges(self) -> Ipv4Addr {
        self.address(EDGE)
    }

    /// Where edges are listened to.
    pub fn behind_edges(self) -> Ipv4Addr {
        self.address(BACK)
    }

    /// Relays can tell ways apart by themselves.
    fn address(self, own: Ipv4Addr) -> Ipv4Addr {
        match self {
            Emulation::Relays => Ipv4Addr::LOCALHOST,
            Emulation::Netem => own,
        }
    }
}

/// What is to lie between. Times are one way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Bits per second that all of a visitor's connections share; 0 for as many as there may be.
    pub up: u64,
    pub down: u64,
    /// From a visitor to an origin.
    pub origin: Duration,
    /// From a visitor to the edge near them, if it is on the way.
    pub edge: Option<Duration>,
    /// From an edge to its origin.
    pub back: Duration,
}

impl Shape {
    fn is_nothing(&self) -> bool {
        let times = [self.origin, self.edge.unwrap_or_default(), self.back];
        self.up == 0 && self.down == 0 && times.iter().all(Duration::is_zero)
    }

    /// For `tc -batch`, on a device that has nothing in its way yet.
    ///
    /// Each direction is one netem that has the rate, and so much of the delay as origin and edge share; behind it, the farther of the two has
    /// the rest of its own.
    fn commands(&self) -> String {
        let mut text = format!("qdisc replace dev lo root handle 1: prio bands 4 {PRIOMAP}\n");
        let near = self.edge.map_or(self.origin, |edge| edge.min(self.origin));
        let rest = self.origin.saturating_sub(near);
        for (band, side, rate) in [(2, "dst", self.up), (3, "src", self.down)] {
            // Writing to a `String` can't fail.
            let _ = writeln!(text, "qdisc add dev lo parent 1:{band} handle {band}0: {}", netem(near, rate));
            let _ = writeln!(text, "{}", filter("1:", side, VISITORS, &format!("1:{band}")));
            if !rest.is_zero() {
                let (child, far) = (format!("{band}1:"), format!("{band}1:2"));
                let _ = writeln!(text, "qdisc add dev lo parent {band}0: handle {child} prio bands 2 {PRIOMAP}");
                let _ = writeln!(text, "qdisc add dev lo parent {far} handle {band}2: {}", held(rest, rate));
                let _ = writeln!(text, "{}", filter(&child, side, &format!("{ORIGIN}/32"), &far));
            }
        }
        if !self.back.is_zero() {
            let _ = writeln!(text, "qdisc add dev lo parent 1:4 handle 40: {}", netem(self.back, 0));
            for side in ["dst", "src"] {
                let _ = writeln!(text, "{}", filter("1:", side, &format!("{BACK}/32"), "1:4"));
            }
        }
        text
    }
}

/// Time and rate in one: netem counts how long a packet takes to be sent from when the one before it was, and adds the delay.
fn netem(delay: Duration, rate: u64) -> String {
    match rate {
        0 => held(delay, 0),
        rate => format!("{} rate {rate}bit", held(delay, rate)),
    }
}

/// Holds back what comes no faster than at a rate.
fn held(delay: Duration, rate: u64) -> String {
    let limit = match rate {
        0 => MANY,
        rate => WAITING + (rate as f64 * delay.as_secs_f64() / 8.0 / PACKET as f64).ceil() as u64,
    };
    format!("netem limit {limit} delay {}us", delay.as_micros())
}

fn filter(parent: &str, side: &str, address: &str, class: &str) -> String {
    format!("filter add dev lo parent {parent} protocol ip u32 match ip {side} {address} flowid {class}")
}

/// From here on that lies between. It has to be [lifted](lift) first.
pub fn lay(shape: &Shape) -> Result<(), String> {
    match shape.is_nothing() {
        true => Ok(()),
        false => tc(&shape.commands()),
    }
}

/// From here on nothing lies between, and what was under way is gone.
pub fn lift() -> Result<(), String> {
    tc("qdisc replace dev lo root noqueue\n")
}

fn tc(commands: &str) -> Result<(), String> {
    batch(&find("tc").ok_or("there is no `tc` any more")?, commands)
}

/// Has `tc` or `ip` do as many things as there are lines. The first that fails is the last.
fn batch(program: &Path, commands: &str) -> Result<(), String> {
    let said = |error: std::io::Error| format!("`{}`: {error}", program.display());
    let mut command = Command::new(program);
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(said)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who ends before all is read says why.
        let _ = stdin.write_all(commands.as_bytes());
    }
    let out = child.wait_with_output().map_err(said)?;
    match out.status.success() {
        true => Ok(()),
        false => Err(words(&out.stderr)),
    }
}

/// What a program complains of, in one line.
fn words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// What takes part: how TCP finds its speed decides much of what is measured.
pub fn programs() -> BTreeMap<String, String> {
    let version = find("tc").and_then(|tc| version(&tc, "-V"));
    let control = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").ok();
    let control = control.map(|name| format!("congestion control {}", name.trim()));
    let named = [("tc", version), ("tcp", control)].into_iter();
    named.filter_map(|(name, version)| Some((name.to_owned(), version?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_way_is_one_netem_in_each_direction() {
        let shape = Shape { up: 3_000_000, down: 9_000_000, origin: 30 * MS, edge: None, back: Duration::ZERO };
        insta::assert_snapshot!(shape.commands(), @"
        qdisc replace dev lo root handle 1: prio bands 4 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        qdisc add dev lo parent 1:2 handle 20: netem limit 1008 delay 30000us rate 3000000bit
        filter add dev lo parent 1: protocol ip u32 match ip dst 127.0.10.0/24 flowid 1:2
        qdisc add dev lo parent 1:3 handle 30: netem limit 1023 delay 30000us rate 9000000bit
        filter add dev lo parent 1: protocol ip u32 match ip src 127.0.10.0/24 flowid 1:3
        ");
    }

    #[test]
    fn what_is_farther_than_the_edge_shares_its_link() {
        let shape = Shape { up: 0, down: 400_000, origin: 100 * MS, edge: Some(28 * MS), back: 72 * MS };
        insta::assert_snapshot!(shape.commands(), @"
        qdisc replace dev lo root handle 1: prio bands 4 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        qdisc add dev lo parent 1:2 handle 20: netem limit 100000 delay 28000us
        filter add dev lo parent 1: protocol ip u32 match ip dst 127.0.10.0/24 flowid 1:2
        qdisc add dev lo parent 20: handle 21: prio bands 2 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        qdisc add dev lo parent 21:2 handle 22: netem limit 100000 delay 72000us
        filter add dev lo parent 21: protocol ip u32 match ip dst 127.0.10.1/32 flowid 21:2
        qdisc add dev lo parent 1:3 handle 30: netem limit 1001 delay 28000us rate 400000bit
        filter add dev lo parent 1: protocol ip u32 match ip src 127.0.10.0/24 flowid 1:3
        qdisc add dev lo parent 30: handle 31: prio bands 2 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        qdisc add dev lo parent 31:2 handle 32: netem limit 1003 delay 72000us
        filter add dev lo parent 31: protocol ip u32 match ip src 127.0.10.1/32 flowid 31:2
        qdisc add dev lo parent 1:4 handle 40: netem limit 100000 delay 72000us
        filter add dev lo parent 1: protocol ip u32 match ip dst 127.0.20.1/32 flowid 1:4
        filter add dev lo parent 1: protocol ip u32 match ip src 127.0.20.1/32 flowid 1:4
        ");
    }

    #[test]
    fn where_nothing_lies_between_nothing_is_laid() {
        assert!(Shape { edge: Some(Duration::ZERO), ..Shape::default() }.is_nothing());
        assert!(!Shape { down: 1, ..Shape::default() }.is_nothing());
        assert!(!Shape { origin: MS, ..Shape::default() }.is_nothing());
    }

    #[test]
    fn complaints_are_one_line() {
        let said = b"Error: Specified qdisc kind is unknown.\nCommand failed -:1\n\n";
        assert_eq!(words(said), "Error: Specified qdisc kind is unknown.; Command failed -:1");
    }
}
