//! How long work tells that it goes on. The library speaks through this, never to the terminal itself.

pub trait Progress: Send + Sync {
    /// A stage begins, with that many steps; the one before it is over.
    fn stage(&self, name: &'static str, steps: usize);
    /// One step of the stage is done.
    fn step(&self);
    /// As [`Progress::stage`], where each step moves something: so many bytes in all.
    fn transfer(&self, name: &'static str, steps: usize, _bytes: u64) {
        self.stage(name, steps);
    }
    /// As [`Progress::step`], in such a stage: what was moved, a key or a URL, and its bytes.
    fn moved(&self, _what: &str, _bytes: u64) {
        self.step();
    }
    /// What the stage is at, for who watches.
    fn at(&self, _what: &str) {}
    /// Something for those who ask for more.
    fn note(&self, message: String);
    /// Something that people should know of, and that stops nothing.
    fn warn(&self, message: String);
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &'static str, _: usize) {}
    fn step(&self) {}
    fn note(&self, _: String) {}
    fn warn(&self, _: String) {}
}
