//! `radload`: a RADIUS load generator that checks for duplicate addresses itself, and the benchmark that is
//! driven with it. The usage is in `args`; `tests/bench.sh` runs the benchmark.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints its results")]

mod args;
mod bench;
mod book;
mod cpu;
mod engine;
mod lines;
mod packets;
mod phases;
#[allow(dead_code, missing_docs, reason = "shared with the tests, which use the rest")]
#[path = "../../tests/common/radius.rs"]
mod radius;
mod sys;
mod tally;

use args::Args;
use engine::Generator;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == "bench").is_some() {
        return bench::main(words);
    }
    let args = match Args::parse(words) {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("radload: {error}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    sys::catch_interrupts();
    match load(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("radload: {error}");
            ExitCode::FAILURE
        }
    }
}

fn load(args: &Args) -> std::io::Result<ExitCode> {
    let mut generator = Generator::new(args.settings.clone())?;
    generator.book().judges = !args.one_address;
    let (mut wrong, mut aborted) = (false, false);
    for (text, phase) in &args.phases {
        let mut script = phase.script(generator.book().subscribers, &args.settings);
        let report = generator.run(text, script.as_mut())?;
        if args.json {
            println!("{{{}}}", report.json());
        } else {
            print!("{}", report.human());
        }
        wrong |= report.is_wrong();
        aborted |= report.aborted;
        if aborted {
            break;
        }
    }
    if !args.json {
        println!("{} source ports", generator.ports());
    }
    Ok(match (wrong, aborted) {
        (true, _) => ExitCode::from(3),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}
