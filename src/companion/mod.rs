//! Front door 2: `ippool-rs`, the tool of whoever runs the pools.
//!
//! From arguments to an exit code. Data goes to stdout, all else to stderr. No SQL here ([`crate::store::admin`] has the
//! verbs), no rule of a lease's life ([`crate::lease`]), and no word of a router's protocol ([`crate::routeros_api`]).

mod args;
mod chain;
mod config;
mod doctor;
mod exit;
mod explain;
mod import;
mod indexes;
mod journal;
mod lease;
mod lease_allocate;
mod lease_clear;
mod lease_release;
mod lease_reserve;
mod lease_show;
mod nas;
mod next_login;
mod output;
mod pool;
mod pool_add;
mod pool_modify;
mod pool_ranges;
mod pool_remove;
mod progress;
mod reconcile;
mod router;
mod schema;
mod screen;
mod serve;
mod several;
mod statics;
mod sweep;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::store::DatabaseUrl;
use crate::store::admin::Admin;

pub use exit::{Exit, Failure};
pub use reconcile::listing;

/// What every verb needs: where to look, and how to answer.
struct Desk {
    options: args::Global,
    screen: screen::Screen,
}

impl Desk {
    fn url(&self) -> Result<DatabaseUrl, Failure> {
        config::database(&self.options, &self.screen)
    }

    fn open(&self) -> Result<Admin, Failure> {
        Ok(Admin::open(&self.url()?)?)
    }
}

/// Runs the command line (the program's name first) and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match args::Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Also --help and --version, which end with 0. A reader that has gone needs no answer.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code()));
        }
    };
    let desk = Desk { screen: screen::Screen::new(cli.global.output), options: cli.global };
    let result = match cli.noun {
        args::Noun::Schema { verb } => schema::run(&desk, &verb),
        args::Noun::Pool { verb } => pool::run(&desk, verb),
        args::Noun::Lease { verb } => lease::run(&desk, verb),
        args::Noun::Reconcile(asked) => reconcile::run(&desk, &asked),
        args::Noun::Sweep(asked) => sweep::run(&desk, &asked),
        args::Noun::Doctor { no_routers } => doctor::run(&desk, no_routers),
        args::Noun::Explain(asked) => explain::run(&desk, &asked),
        args::Noun::Nas { verb } => nas::run(&desk, verb),
        args::Noun::Router { verb } => router::run(&desk, verb),
        args::Noun::Serve => serve::run(&desk),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_silent() => Exit::Done.into(),
        Err(failure) => {
            desk.screen.error(&failure.sentence);
            failure.exit.into()
        }
    }
}
