//! How long work tells that it goes on. The library speaks through this, never to the terminal itself.

pub trait Progress: Send + Sync {
    /// A stage begins, with that many steps; the one before it is over.
    fn stage(&self, name: &'static str, steps: usize);
    /// One step of the stage is done.
    fn step(&self);
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
