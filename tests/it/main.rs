//! Whole-program tests, in one binary: each file is a capability, each test is named by what must hold.
//!
//! A test that needs another program says which. Where it is missing and can't be installed, the test is counted as ignored,
//! and the reason is printed; it is never counted as passed.

mod browser;
mod build;
mod cache;
mod environment;
mod faults;
mod http;
mod images;
mod layout;
mod packages;
mod preview;
mod publish;
mod readme;
mod reproducible;
mod sample;
mod serve;
mod setup;
mod site;
mod styles;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let trials = [
        build::trials(),
        cache::trials(),
        environment::trials(),
        faults::trials(),
        images::trials(),
        layout::trials(),
        packages::trials(),
        preview::trials(),
        publish::trials(),
        readme::trials(),
        reproducible::trials(),
        sample::trials(),
        serve::trials(),
        styles::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}
