//! fingerpost
pub mod asset;
pub mod config;
pub mod encoding;
pub mod environment;
pub mod error;
pub mod fingerprint;
pub mod fs;
pub mod manifest;
pub mod page;
pub mod preview;
pub mod progress;
pub mod publish;
pub mod release;
