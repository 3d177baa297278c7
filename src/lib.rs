//! From a site's sources to its users' browsers: fingerpost fingerprints a site's assets, posts them to where they are served
//! from, and points every URL to the right place in each environment.
//!
//! # The map
//!
//! Two flows meet in the [`manifest`]:
//!
//! ```text
//! config → discover → images, fonts → scripts and stylesheets → pages → compress → dist + manifest               (build)
//! manifest → bind pages to an environment → a table in memory → answers                                          (serve)
//! manifest → bind pages to an environment → a plan → uploads, assets first → the pointer                         (publish)
//! manifest → the URLs and headers that `serve` has → another server's configuration                              (export)
//! what changes → what depends on it, built in memory → a table → the tabs that show it                            (dev)
//! strategies, started in turn → load and visits → samples → medians, intervals, costs → a report                  (bench)
//! ```
//!
//! Read first [`build::build`], whose module is the list of the stages; then [`manifest`], which is all that the other two
//! flows know of a build; then [`serve`], [`publish`] and [`preview`], which joins the three.
//!
//! Two ideas carry the rest. *Leaves first*: by the time a file is fingerprinted, every URL in it is final, so a name covers
//! the file's bytes and all that they refer to. *Late binding*: stylesheets and scripts hold relative URLs only, so they are
//! the same bytes everywhere; what depends on the environment is pages, and [`page`] binds those when a release is served or
//! published. Together they make "build once, deploy many" hold.
//!
//! # Who may import whom
//!
//! | module | imports |
//! |---|---|
//! | the nouns ([`asset`], [`client`], [`date`], [`encoding`], [`environment`], [`error`], [`fingerprint`], [`fs`], [`html`], [`manifest`], [`progress`], [`release`], [`scaffold`]) | nouns |
//! | [`config`] | nouns |
//! | [`build`], [`page`] | nouns, config |
//! | [`publish`], [`serve`] | nouns, config, page |
//! | [`check`] | nouns, config, build, page |
//! | [`export`] | nouns, serve |
//! | [`follow`] | nouns, publish, serve |
//! | [`dev`] | nouns, config, build, serve |
//! | [`preview`] | all but bench and cli |
//! | [`mod@bench`] | all but dev, follow and cli |
//! | [`cli`] | all |
//!
//! A test keeps this, and that each foreign crate with a wide interface has one home (`lightningcss` in one transform,
//! `rolldown` in another, AWS's in `publish::s3`, and so on).

#![forbid(unsafe_code)]

pub mod asset;
pub mod bench;
pub mod build;
pub mod check;
pub mod cli;
pub mod client;
pub mod config;
pub mod date;
pub mod dev;
pub mod encoding;
pub mod environment;
pub mod error;
pub mod export;
pub mod fingerprint;
pub mod follow;
pub mod fs;
pub mod html;
pub mod manifest;
pub mod page;
pub mod preview;
pub mod progress;
pub mod publish;
pub mod release;
pub mod scaffold;
pub mod serve;
