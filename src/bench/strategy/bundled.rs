//! `bundled`: what `unbundled` is compared with, from the same server: stylesheets and modules joined and minified by the build.

pub use super::memory::start;
