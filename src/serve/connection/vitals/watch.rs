//! What connections do, judged from outside: how long each may go on with it, and what it is told then.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{OURS, Order, Stage, Vitals};
use crate::serve::limits::Limits;

/// How long what is left of a request is read and thrown away after its answer, so that the answer arrives: a socket that is closed
/// with unread bytes is reset, which destroys what the client has not read yet (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(5);

/// How long an HTTP/1 connection has to be quiet before it is taken apart.
const REST_AFTER: Duration = Duration::from_secs(1);

/// How long a client of HTTP/2 may be silent before it is asked whether it is still there, and how long it has for an answer. Of
/// HTTP/1 there is no such question (RFC 9113 section 6.7).
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_WAIT: Duration = Duration::from_secs(10);

/// What a connection is seen to do. All but the first two last as long as the limits allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// The service works on a request.
    Answering,
    /// The client takes an answer.
    Sending,
    Shaking,
    /// For the first request, or for the next.
    Waiting,
    /// A head is there in part.
    Reading,
    Idle,
    Leaving,
}

/// A connection as it was seen over time.
#[derive(Debug)]
pub struct Watch {
    doing: Doing,
    since: Instant,
    requests: u64,
    /// Bytes at `since`.
    sent: u64,
    /// It was told to rest since then.
    has_rested: bool,
    silence: Silence,
}

/// How long nothing has come.
#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Instant,
    /// Bytes at `since`.
    received: u64,
    pinged: Option<Instant>,
}

impl Watch {
    pub fn new(now: Instant) -> Self {
        let silence = Silence { since: now, received: 0, pinged: None };
        Watch { doing: Doing::Answering, since: now, requests: 0, sent: 0, has_rested: false, silence }
    }

    /// Looks at it, and says what it has to be told.
    pub fn look(&mut self, vitals: &Vitals, limits: &Limits, now: Instant) -> Option<Order> {
        let doing = doing(vitals);
        let sent = vitals.sent.load(Relaxed);
        let requests = vitals.requests();
        if doing != self.doing || (requests != self.requests && doing != Doing::Sending) {
            *self = Watch { doing, since: now, requests, sent, has_rested: false, silence: self.silence };
            return None;
        }
        let lasted = now.saturating_duration_since(self.since);
        let had_one = requests > 0;
        match doing {
            Doing::Answering => self.ping(vitals, limits, now),
            Doing::Sending => {
                if lasted < limits.write {
                    return None;
                }
                let least = limits.write_rate.saturating_mul(lasted.as_secs()).max(1);
                if sent - self.sent < least {
                    return Some(Order::Cut);
                }
                *self = Watch { doing, since: now, requests, sent, has_rested: false, silence: self.silence };
                None
            }
            Doing::Shaking => (lasted >= limits.header_read).then_some(Order::Cut),
            Doing::Reading => (lasted >= limits.header_read).then(|| {
                if vitals.has_part_of_a_head() {
                    vitals.gives_up_a_head(lasted);
                }
                Order::Cut
            }),
            Doing::Waiting => {
                let limit = if had_one { limits.idle } else { limits.header_read };
                (lasted >= limit).then_some(Order::Cut)
            }
            Doing::Idle if vitals.stage() == Stage::Http1 => self.rest(lasted, limits),
            Doing::Idle if !had_one => (lasted >= limits.header_read).then_some(Order::Cut),
            // RFC 9113 section 6.8: GOAWAY says which requests were taken, so that the client repeats the others elsewhere.
            Doing::Idle if lasted >= limits.idle + LINGER => Some(Order::Cut),
            Doing::Idle if lasted >= limits.idle => Some(Order::Close),
            Doing::Idle => self.rest(lasted, limits).or_else(|| self.ping(vitals, limits, now)),
            Doing::Leaving => (lasted >= LINGER.min(limits.idle)).then_some(Order::Cut),
        }
    }
}

impl Watch {
    /// Once is enough.
    fn rest(&mut self, lasted: Duration, limits: &Limits) -> Option<Order> {
        let is_time = lasted >= rest_after(limits) && !self.has_rested;
        self.has_rested |= is_time;
        is_time.then_some(Order::Rest)
    }

    /// A peer that is gone without a word is found out before it is waited for in vain; on a connection on which a request is under way
    /// that would be for ever.
    fn ping(&mut self, vitals: &Vitals, limits: &Limits, now: Instant) -> Option<Order> {
        let received = vitals.received.load(Relaxed);
        if vitals.stage() != Stage::Http2 || received != self.silence.received {
            self.silence = Silence { since: now, received, pinged: None };
            return None;
        }
        let has_lasted = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        match self.silence.pinged {
            Some(pinged) => has_lasted(pinged, PING_WAIT.min(limits.header_read)).then_some(Order::Cut),
            None => has_lasted(self.silence.since, PING_AFTER.min(limits.idle / 2)).then(|| {
                self.silence.pinged = Some(now);
                Order::Ping
            }),
        }
    }
}

fn rest_after(limits: &Limits) -> Duration {
    REST_AFTER.min(limits.idle / 2)
}

fn doing(vitals: &Vitals) -> Doing {
    let is_blocked = vitals.is_blocked.load(Relaxed);
    match vitals.stage() {
        Stage::Shaking => Doing::Shaking,
        Stage::Waiting => Doing::Waiting,
        // Both sides know how long they want to be silent.
        Stage::Tunnel => Doing::Answering,
        Stage::Leaving if !is_blocked => Doing::Leaving,
        _ if vitals.open.load(Relaxed) >= OURS && !is_blocked => Doing::Answering,
        _ if vitals.open.load(Relaxed) > 0 || is_blocked => Doing::Sending,
        Stage::Http1 if vitals.has_part_of_a_head() || vitals.requests() == 0 => Doing::Reading,
        _ => Doing::Idle,
    }
}

/// How often to look, for no limit to be exceeded by more than a quarter.
pub fn interval(limits: &Limits) -> Duration {
    let shortest = limits.header_read.min(limits.idle).min(limits.write);
    (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        Limits { header_read: 10 * SECOND, idle: 60 * SECOND, write: 20 * SECOND, write_rate: 100, ..Limits::default() }
    }

    /// Looks each second until there is an order, or too long.
    fn told(vitals: &Vitals, mut each_second: impl FnMut(&Vitals)) -> Option<(u32, Order)> {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        (0..200).find_map(|second| {
            each_second(vitals);
            Some((second, watch.look(vitals, &limits(), start + second * SECOND)?))
        })
    }

    #[test]
    fn who_says_nothing_is_cut_off() {
        for stage in [Stage::Shaking, Stage::Waiting, Stage::Http1, Stage::Http2] {
            assert_eq!(told(&Vitals::new(stage), |_| ()), Some((10, Order::Cut)), "{stage:?}");
        }
    }

    #[test]
    fn who_says_little_at_a_time_is_cut_off_as_well() {
        assert_eq!(told(&Vitals::new(Stage::Http1), |vitals| vitals.received(1)), Some((10, Order::Cut)));
    }

    fn asked(stage: Stage) -> Vitals {
        let vitals = Vitals::new(stage);
        vitals.received(100);
        vitals.begins(false);
        vitals
    }

    #[test]
    fn the_service_may_take_its_time() {
        assert_eq!(told(&asked(Stage::Http1), |_| ()), None);
    }

    #[test]
    fn who_takes_nothing_of_an_answer_is_cut_off() {
        for stage in [Stage::Http1, Stage::Http2] {
            let vitals = asked(stage);
            vitals.answers();
            assert_eq!(told(&vitals, |_| ()), Some((20, Order::Cut)));
            assert_eq!(told(&vitals, |vitals| vitals.sent(99)), Some((20, Order::Cut)));
            assert_eq!(told(&vitals, |vitals| vitals.sent(101)), None);
        }
        let vitals = asked(Stage::Http1);
        vitals.answers();
        vitals.ends();
        vitals.found_no_room();
        assert_eq!(told(&vitals, |_| ()), Some((20, Order::Cut)), "the tail of an answer");
    }

    #[test]
    fn an_idle_connection_rests_and_is_closed_at_last() {
        let vitals = asked(Stage::Http1);
        vitals.answers();
        vitals.ends();
        vitals.found_nothing_to_read();
        assert!(vitals.is_idle());
        assert_eq!(told(&vitals, |_| ()), Some((1, Order::Rest)));
        vitals.enter(Stage::Waiting);
        assert_eq!(told(&vitals, |_| ()), Some((60, Order::Cut)));
        let vitals = asked(Stage::Http2);
        vitals.answers();
        vitals.ends();
        assert_eq!(told(&vitals, |_| ()), Some((1, Order::Rest)));
        let start = Instant::now();
        let mut watch = Watch::new(start);
        let mut look = |second| watch.look(&vitals, &limits(), start + second * SECOND);
        look(0);
        assert_eq!((look(60), look(65)), (Some(Order::Close), Some(Order::Cut)));
    }

    /// The orders of a connection of HTTP/2 that is looked at each second.
    fn orders(vitals: &Vitals, mut each_second: impl FnMut(&Vitals, Option<Order>)) -> Vec<(u32, Order)> {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        let look = |second| {
            let order = watch.look(vitals, &limits(), start + second * SECOND);
            each_second(vitals, order);
            Some((second, order?))
        };
        (0..100).filter_map(look).filter(|(_, order)| *order != Order::Rest).collect()
    }

    #[test]
    fn a_silent_client_of_http_2_is_asked_and_then_cut_off() {
        let idle = || {
            let vitals = asked(Stage::Http2);
            vitals.answers();
            vitals.ends();
            vitals
        };
        for (name, vitals) in [("idle", idle()), ("a request under way", asked(Stage::Http2))] {
            let orders = orders(&vitals, |_, _| ());
            let [(asked, Order::Ping), (cut, Order::Cut), ..] = orders[..] else { panic!("{name}: {orders:?}") };
            // It takes a look or two to see that it is silent.
            assert!((30..34).contains(&asked) && cut == asked + 10, "{name}: {asked}, {cut}");
        }
        let pong = |vitals: &Vitals, order| {
            if order == Some(Order::Ping) {
                vitals.received(17);
            }
        };
        let waiting = orders(&asked(Stage::Http2), pong);
        assert!(waiting.len() > 2 && waiting.iter().all(|(_, order)| *order == Order::Ping), "{waiting:?}");
        // An answer is no request: the connection is as idle as before.
        let orders = orders(&idle(), pong);
        assert_eq!(orders.iter().map(|(_, order)| *order).collect::<Vec<_>>()[..2], [Order::Ping, Order::Close]);
        assert!(matches!(orders[1], (60, _)), "{orders:?}");
    }

    #[test]
    fn a_head_that_is_given_up_is_told_from_silence() {
        let silent = Vitals::new(Stage::Http1);
        assert_eq!(told(&silent, |_| ()), Some((10, Order::Cut)));
        assert_eq!(silent.overdue(), None);
        let begun = Vitals::new(Stage::Http1);
        assert_eq!(told(&begun, |vitals| vitals.received(1)), Some((10, Order::Cut)));
        assert_eq!(begun.overdue(), Some(10 * SECOND));
    }

    #[test]
    fn the_next_request_begins_anew() {
        let vitals = asked(Stage::Http1);
        vitals.answers();
        vitals.ends();
        let ask = |vitals: &Vitals| {
            vitals.received(1);
            vitals.begins(false);
            vitals.answers();
            vitals.ends();
        };
        assert_eq!(told(&vitals, ask), None);
    }

    #[test]
    fn an_order_gives_way_to_a_greater_one_alone() {
        let vitals = Vitals::new(Stage::Http1);
        vitals.give(Order::Rest);
        assert!(vitals.take_rest() && !vitals.take_rest());
        vitals.give(Order::Cut);
        vitals.give(Order::Close);
        vitals.give(Order::Rest);
        assert!(!vitals.take_rest());
        assert_eq!(vitals.order(), Some(Order::Cut));
    }

    #[test]
    fn a_body_is_no_part_of_the_next_head() {
        let vitals = Vitals::new(Stage::Http1);
        vitals.received(100);
        vitals.begins(true);
        vitals.received(5000);
        vitals.answers();
        vitals.ends();
        vitals.found_nothing_to_read();
        assert!(vitals.is_idle());
    }

    #[test]
    fn half_a_head_is_no_idleness() {
        let vitals = asked(Stage::Http1);
        vitals.answers();
        vitals.ends();
        vitals.received(5);
        vitals.found_nothing_to_read();
        assert!(!vitals.is_idle() && vitals.may_have_more());
        assert_eq!(told(&vitals, |_| ()), Some((10, Order::Cut)));
    }
}
