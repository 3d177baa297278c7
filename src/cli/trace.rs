//! Traces on stderr, for who asks for them. The library only emits them.

use tracing_subscriber::EnvFilter;

use super::terminal::Terminal;
use crate::error::{Error, Result};

/// Traces what the filter lets through from now on: `info`, `fingerpost=debug,rolldown=warn`. As JSON with `--json`.
pub fn start(filter: &str, terminal: &Terminal) -> Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| Error::Usage {
        message: format!("`{filter}` is no filter for traces: {error}"),
        help: "write a level such as `info`, or `fingerpost=debug`; `--log` and `RUST_LOG` take the same".to_owned(),
    })?;
    // h2 warns of answers to questions that it has not asked itself: `serve::connection` asks whether a silent client is there.
    let filter = match "h2::proto::ping_pong=error".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let traces = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match terminal.json() {
        true => traces.json().try_init(),
        false => traces.with_ansi(terminal.color()).try_init(),
    };
    // Somebody who runs this as a library may have set up their own; then that is where traces go.
    drop(started);
    Ok(())
}
