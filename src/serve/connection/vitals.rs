//! What a connection is doing: told by its parts as they go, judged from outside now and then. Nobody keeps a timer for each request.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::serve::limits::Limits;

/// How long what is left of a request is read and thrown away after its answer, so that the answer arrives: a socket that is closed
/// with unread bytes is reset, which destroys what the client has not read yet (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(5);

/// How long an HTTP/1 connection has to be quiet before it is taken apart.
const REST_AFTER: Duration = Duration::from_secs(1);

/// A request that waits for the service, in [`Vitals::open`].
const OURS: u64 = 1 << 32;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// In TLS's handshake.
    Shaking,
    /// Nothing but a socket that has nothing to read.
    Waiting,
    Http1,
    Http2,
    /// Answered for good; what the client still sends is thrown away.
    Leaving,
    /// HTTP's no more.
    Tunnel,
}

/// What a connection is told from outside. A greater one comes before a smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Order {
    /// Give back what can be done without while nothing happens.
    Rest = 1,
    /// Finish the requests under way, take no more.
    Close,
    /// End now.
    Cut,
}

/// The state of one connection, for others to see.
#[derive(Debug)]
pub struct Vitals {
    stage: AtomicU8,
    order: AtomicU8,
    waker: OnceLock<Waker>,
    /// Requests that were handed on.
    requests: AtomicU64,
    /// Of these, how many have not been answered to the last byte of their body; and of these in units of [`OURS`], how many wait for
    /// the service, and not for the client.
    open: AtomicU64,
    /// Bytes.
    received: AtomicU64,
    /// `received` when the last request was handed on: what is beyond it belongs to no request yet.
    heard: AtomicU64,
    /// Bytes.
    sent: AtomicU64,
    /// The last read found nothing.
    is_drained: AtomicBool,
    /// The last write found no room.
    is_blocked: AtomicBool,
    /// The last request had a body, of which more may come.
    has_body: AtomicBool,
}

impl Vitals {
    pub fn new(stage: Stage) -> Self {
        Vitals {
            stage: AtomicU8::new(stage as u8),
            order: AtomicU8::new(0),
            waker: OnceLock::new(),
            requests: AtomicU64::new(0),
            open: AtomicU64::new(0),
            received: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            is_drained: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            has_body: AtomicBool::new(false),
        }
    }

    pub fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            0 => Stage::Shaking,
            1 => Stage::Waiting,
            2 => Stage::Http1,
            3 => Stage::Http2,
            4 => Stage::Leaving,
            _ => Stage::Tunnel,
        }
    }

    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }

    /// Whom to wake when there is an order. It is the connection's task, the same each time.
    pub fn attend(&self, waker: &Waker) {
        if self.waker.get().is_none() {
            let _ = self.waker.set(waker.clone());
        }
    }

    pub fn order(&self) -> Option<Order> {
        match self.order.load(Acquire) {
            0 => None,
            1 => Some(Order::Rest),
            2 => Some(Order::Close),
            _ => Some(Order::Cut),
        }
    }

    /// Gives an order. One that came before, and weighs more, stays.
    pub fn give(&self, order: Order) {
        if self.order.fetch_max(order as u8, AcqRel) < order as u8
            && let Some(waker) = self.waker.get()
        {
            waker.wake_by_ref();
        }
    }

    /// Whether it was told to rest; it is not told again until there is a reason.
    pub fn take_rest(&self) -> bool {
        let is_told = self.order.load(Relaxed) == Order::Rest as u8;
        is_told && self.order.compare_exchange(Order::Rest as u8, 0, AcqRel, Acquire).is_ok()
    }

    pub fn received(&self, bytes: usize) {
        // One task reads a connection, so nothing gets lost between the two.
        self.received.store(self.received.load(Relaxed) + bytes as u64, Relaxed);
        self.is_drained.store(false, Relaxed);
    }

    pub fn found_nothing_to_read(&self) {
        self.is_drained.store(true, Relaxed);
    }

    /// Some of what was received was handed back, and belongs to no request.
    pub fn unheard(&self, bytes: usize) {
        self.heard.store(self.received.load(Relaxed).saturating_sub(bytes as u64), Relaxed);
    }

    pub fn sent(&self, bytes: usize) {
        self.sent.store(self.sent.load(Relaxed) + bytes as u64, Relaxed);
        self.is_blocked.store(false, Relaxed);
    }

    pub fn found_no_room(&self) {
        self.is_blocked.store(true, Relaxed);
    }

    /// A request is handed on; [`Vitals::answers`] and [`Vitals::ends`] follow it.
    pub fn begins(&self, has_body: bool) {
        // One task takes a connection's requests in.
        self.requests.store(self.requests.load(Relaxed) + 1, Relaxed);
        self.open.fetch_add(OURS + 1, Relaxed);
        self.heard.store(self.received.load(Relaxed), Relaxed);
        self.has_body.store(has_body, Relaxed);
    }

    /// It is for the client to take what there is.
    pub fn answers(&self) {
        self.open.fetch_sub(OURS, Relaxed);
    }

    /// The client has taken all there is, and more will come.
    pub fn awaits_more(&self) {
        self.open.fetch_add(OURS, Relaxed);
    }

    /// A request was handed on and answered at once, or is about to be; so many bytes follow it.
    pub fn has_one_more(&self, unheard: usize) {
        self.requests.store(self.requests.load(Relaxed) + 1, Relaxed);
        self.has_body.store(false, Relaxed);
        self.unheard(unheard);
    }

    /// Its answer waits for the client; [`Vitals::ends`] follows.
    pub fn opens(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    pub fn ends(&self) {
        // What came of its body, or else that would be taken for a part of the next head. If it is one, it is handed back at rest.
        if self.has_body.load(Relaxed) {
            self.heard.store(self.received.load(Relaxed), Relaxed);
        }
        self.open.fetch_sub(1, Release);
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Whether every request that was handed on is answered.
    pub fn has_nothing_open(&self) -> bool {
        self.open.load(Acquire) == 0
    }

    fn has_part_of_a_head(&self) -> bool {
        self.received.load(Relaxed) != self.heard.load(Relaxed)
    }

    /// Whether all that came was answered, all answers are written, and nothing is there to read.
    pub fn is_idle(&self) -> bool {
        self.open.load(Acquire) == 0
            && self.is_drained.load(Relaxed)
            && !self.is_blocked.load(Relaxed)
            && !self.has_part_of_a_head()
    }

    /// Whether the client may send, or have sent, what nobody has read.
    pub fn may_have_more(&self) -> bool {
        self.has_body.load(Relaxed) || self.has_part_of_a_head() || !self.is_drained.load(Relaxed)
    }
}

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
}

impl Watch {
    pub fn new(now: Instant) -> Self {
        Watch { doing: Doing::Answering, since: now, requests: 0, sent: 0, has_rested: false }
    }

    /// Looks at it, and says what it has to be told.
    pub fn look(&mut self, vitals: &Vitals, limits: &Limits, now: Instant) -> Option<Order> {
        let doing = doing(vitals);
        let sent = vitals.sent.load(Relaxed);
        let requests = vitals.requests();
        if doing != self.doing || (requests != self.requests && doing != Doing::Sending) {
            *self = Watch { doing, since: now, requests, sent, has_rested: false };
            return None;
        }
        let lasted = now.saturating_duration_since(self.since);
        let had_one = requests > 0;
        match doing {
            Doing::Answering => None,
            Doing::Sending => {
                if lasted < limits.write {
                    return None;
                }
                let least = limits.write_rate.saturating_mul(lasted.as_secs()).max(1);
                if sent - self.sent < least {
                    return Some(Order::Cut);
                }
                *self = Watch { doing, since: now, requests, sent, has_rested: false };
                None
            }
            Doing::Shaking | Doing::Reading => (lasted >= limits.header_read).then_some(Order::Cut),
            Doing::Waiting => {
                let limit = if had_one { limits.idle } else { limits.header_read };
                (lasted >= limit).then_some(Order::Cut)
            }
            Doing::Idle if vitals.stage() == Stage::Http1 => self.rest(lasted, limits),
            Doing::Idle if !had_one => (lasted >= limits.header_read).then_some(Order::Cut),
            // RFC 9113 section 6.8: GOAWAY says which requests were taken, so that the client repeats the others elsewhere.
            Doing::Idle if lasted >= limits.idle + LINGER => Some(Order::Cut),
            Doing::Idle if lasted >= limits.idle => Some(Order::Close),
            Doing::Idle => self.rest(lasted, limits),
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
        assert_eq!(told(&asked(Stage::Http2), |_| ()), None);
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
