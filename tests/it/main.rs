//! Whole-program tests, in one binary: each file is a capability, each test is named by what must hold.
//!
//! A test that needs another program says which. Where it is missing and can't be installed, the test is counted as ignored,
//! and the reason is printed; it is never counted as passed.

mod browser;
mod budget;
mod build;
mod cache;
mod changes;
mod check;
mod environment;
mod faults;
mod github;
mod http;
mod images;
mod keep;
mod layout;
mod modules;
mod packages;
mod preview;
mod publish;
mod readme;
mod report;
mod reproducible;
mod sample;
mod security;
mod serve;
mod setup;
mod site;
mod styles;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let trials = [
        budget::trials(),
        build::trials(),
        cache::trials(),
        changes::trials(),
        check::trials(),
        environment::trials(),
        faults::trials(),
        github::trials(),
        images::trials(),
        keep::trials(),
        layout::trials(),
        modules::trials(),
        packages::trials(),
        preview::trials(),
        publish::trials(),
        readme::trials(),
        report::trials(),
        reproducible::trials(),
        sample::trials(),
        security::trials(),
        serve::trials(),
        styles::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}
