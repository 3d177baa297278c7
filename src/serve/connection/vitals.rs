//! What a connection is doing: told by its parts as they go, judged from outside now and then. Nobody keeps a timer for each request.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::task::Waker;
use std::time::Duration;

mod watch;

pub use watch::{Watch, interval};

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
    /// Ask the client whether it is still there.
    Ping,
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
    /// Answers that the service has given.
    answered: AtomicU64,
    /// Milliseconds that the head took which was given up; 0 if none was.
    overdue: AtomicU32,
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
    /// The request whose target is too long, counted among those that hyper gets; 0 if there is none.
    too_long: AtomicU64,
}

impl Vitals {
    pub fn new(stage: Stage) -> Self {
        Vitals {
            stage: AtomicU8::new(stage as u8),
            order: AtomicU8::new(0),
            waker: OnceLock::new(),
            requests: AtomicU64::new(0),
            open: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            overdue: AtomicU32::new(0),
            received: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            is_drained: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            has_body: AtomicBool::new(false),
            too_long: AtomicU64::new(0),
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
            2 => Some(Order::Ping),
            3 => Some(Order::Close),
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
        self.take(Order::Rest)
    }

    /// Whether it was told so; it is done with then.
    pub fn take(&self, order: Order) -> bool {
        let is_told = self.order.load(Relaxed) == order as u8;
        is_told && self.order.compare_exchange(order as u8, 0, AcqRel, Acquire).is_ok()
    }

    /// How long the head took that the connection is cut off for.
    pub fn overdue(&self) -> Option<Duration> {
        let milliseconds = self.overdue.load(Acquire);
        (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()))
    }

    fn gives_up_a_head(&self, lasted: Duration) {
        let milliseconds = u32::try_from(lasted.as_millis()).unwrap_or(u32::MAX);
        self.overdue.store(milliseconds.max(1), Release);
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

    /// hyper is given a request whose target is too long, after so many others.
    pub fn gets_too_long(&self, number: u64) {
        self.too_long.store(number, Relaxed);
    }

    pub fn is_too_long(&self, number: u64) -> bool {
        self.too_long.load(Relaxed) == number
    }

    /// The service has given its answer, which is yet to be written.
    pub fn has_answered(&self) {
        self.answered.fetch_add(1, AcqRel);
    }

    pub fn answered(&self) -> u64 {
        self.answered.load(Acquire)
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
