//! A summary laid out: as tables for the terminal, as Markdown, and as a page of HTML. Nothing is decided here.

mod chart;
mod curves;
mod derived;
mod guide;
mod html;
mod markdown;
mod measured;
mod table;
mod waterfall;
mod words;

pub use derived::regressions;
pub use guide::guide;
pub use html::html;
pub use markdown::markdown;
pub use table::{Cell, Head, Row, Table, terminal};

#[cfg(test)]
pub mod sample;
#[cfg(test)]
mod tests;
