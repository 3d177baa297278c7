//! Turns a result into a message and an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    fingerpost::cli::main()
}
