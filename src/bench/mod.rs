//! The classic ways to serve static files, started one after another and measured against each other, on the user's own site.

pub mod report;

pub use report::Report;
