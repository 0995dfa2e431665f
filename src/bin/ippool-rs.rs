//! Front door 2: the command line.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    rlm_ippool_rs::companion::run(std::env::args_os())
}
