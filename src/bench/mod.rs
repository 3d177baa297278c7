//! The classic ways to serve static files, started one after another and measured against each other, on the user's own site.

pub mod compare;
pub mod cost;
pub mod metric;
pub mod prices;
pub mod report;
pub mod show;
pub mod statistics;
pub mod summary;

pub use report::Report;
