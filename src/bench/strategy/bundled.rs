//! `bundled`: what `unbundled` is compared with, from the same server: stylesheets and modules joined and minified by the build.

use super::About;
pub use super::memory::start;
use crate::bench::report::Way;

pub const ABOUT: About = About {
    name: "bundled",
    way: Some(Way::Bundles),
    title: "bundled",
    description: "`serve` from memory, of a build that joins and minifies stylesheets and modules.",
};
