//! Trying a release out before it goes anywhere.

pub mod bucket;
