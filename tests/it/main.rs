//! Whole-program tests, in one binary: each file is a capability, each test is named by what must hold.
//!
//! A test that needs another program says which. Where it is missing and can't be installed, the test is counted as ignored,
//! and the reason is printed; it is never counted as passed.

mod bench;
mod browser;
mod budget;
mod build;
mod cache;
mod changes;
mod check;
mod conformance;
mod credentials;
mod dev;
mod dialects;
mod elsewhere;
mod environment;
mod events;
mod export;
mod faults;
mod flask;
mod follow;
mod fuzzing;
mod github;
mod gunicorn;
mod hostile;
mod http;
mod images;
mod keep;
mod layout;
mod libraries;
mod modules;
mod operate;
mod packages;
mod preview;
mod publish;
mod purge;
mod readme;
mod redbot;
mod report;
mod reproducible;
mod sample;
mod security;
mod serve;
mod setup;
mod site;
mod stops;
mod storage;
mod stores;
mod styles;
mod transport;
mod upstream;
mod watch;
mod webassets;
mod wheel;
mod wire;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let trials = [
        bench::trials(),
        budget::trials(),
        build::trials(),
        cache::trials(),
        changes::trials(),
        check::trials(),
        conformance::trials(),
        credentials::trials(),
        dev::trials(),
        elsewhere::trials(),
        dialects::trials(),
        environment::trials(),
        events::trials(),
        export::trials(),
        faults::trials(),
        flask::trials(),
        follow::trials(),
        fuzzing::trials(),
        github::trials(),
        hostile::trials(),
        images::trials(),
        keep::trials(),
        layout::trials(),
        libraries::trials(),
        modules::trials(),
        operate::trials(),
        packages::trials(),
        preview::trials(),
        publish::trials(),
        purge::trials(),
        readme::trials(),
        redbot::trials(),
        report::trials(),
        reproducible::trials(),
        sample::trials(),
        security::trials(),
        serve::trials(),
        stops::trials(),
        storage::trials(),
        stores::trials(),
        styles::trials(),
        transport::trials(),
        upstream::trials(),
        watch::trials(),
        webassets::trials(),
        wheel::trials(),
        worker::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}
