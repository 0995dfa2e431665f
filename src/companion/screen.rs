//! Where the output goes: a terminal with a width and colours, or a pipe.

use std::collections::HashSet;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::Mutex;

use super::args::Format;
use super::exit::{Exit, Failure};
use super::journal::{Journal, Level};
use super::output::Records;

/// stdout and stderr, and what they can do.
pub(super) struct Screen {
    format: Format,
    /// Columns of the terminal on stdout; none: it is not one.
    width: Option<u16>,
    colour: bool,
    colour_errors: bool,
    /// Nobody sits in front of it: what is said goes there, about whom, and data nowhere.
    journal: Option<(Journal, String)>,
    /// Warnings and errors that a journal has already.
    said: Mutex<HashSet<String>>,
}

impl Screen {
    pub(super) fn new(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        // https://no-color.org: any value but the empty one.
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|value| value != "dumb");
        // The size is asked of stdout: comfy-table's own question falls back to other streams.
        let width = terminal.then(|| comfy_table::Table::new().width().unwrap_or(80));
        Self {
            format,
            width,
            colour: terminal && wanted,
            colour_errors: wanted && io::stderr().is_terminal(),
            journal: None,
            said: Mutex::default(),
        }
    }

    /// The daemon's: what is said about `whom` goes to its journal.
    pub(super) fn of_daemon(journal: Journal, whom: &str) -> Self {
        let (width, colour, colour_errors) = (None, false, false);
        let journal = Some((journal, whom.to_owned()));
        Self { format: Format::Table, width, colour, colour_errors, journal, said: Mutex::default() }
    }

    /// Prints data.
    pub(super) fn data(&self, records: &Records) -> Result<(), Failure> {
        if self.journal.is_some() {
            return Ok(());
        }
        let mut out = io::BufWriter::new(io::stdout().lock());
        match self.format {
            Format::Csv => records.csv(&mut out)?,
            Format::Json => records.json(&mut out)?,
            Format::Table => {
                let left_out = records.table(&mut out, self.width, self.colour)?;
                out.flush()?;
                if !left_out.is_empty() {
                    self.note(&format!(
                        "not shown for want of width: {} (-o json has all)",
                        left_out.join(", ")
                    ));
                }
            }
        }
        out.flush()?;
        Ok(())
    }

    /// Prints data with one line for each value, for people; an empty line behind each record.
    pub(super) fn blocks(&self, records: &Records) -> Result<(), Failure> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        records.blocks(&mut out, self.colour)?;
        out.flush()?;
        Ok(())
    }

    /// Prints text that is the data (SQL).
    pub(super) fn text(text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// It prints for people.
    pub(super) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Says something that is not data.
    pub(super) fn note(&self, sentence: &str) {
        match &self.journal {
            Some((journal, whom)) => journal.say(Level::Info, whom, sentence),
            None => drop(writeln!(io::stderr(), "{sentence}")),
        }
    }

    /// Says how far it is, to who waits for it.
    pub(super) fn step(&self, sentence: &str) {
        if self.journal.is_none() {
            self.note(sentence);
        }
    }

    /// Warns.
    pub(super) fn warning(&self, sentence: &str) {
        match &self.journal {
            Some((journal, whom)) => self.once(*journal, Level::Warning, whom, sentence),
            None => self.label("warning", "33", sentence),
        }
    }

    /// Says what went wrong.
    pub(super) fn error(&self, sentence: &str) {
        match &self.journal {
            Some((journal, whom)) => self.once(*journal, Level::Error, whom, sentence),
            None => self.label("error", "31", sentence),
        }
    }

    /// What the journal has been told once, it is not told each hour.
    fn once(&self, journal: Journal, level: Level, whom: &str, sentence: &str) {
        let is_new = self.said.lock().is_ok_and(|mut said| said.insert(sentence.to_owned()));
        if is_new {
            journal.say(level, whom, sentence);
        }
    }

    fn label(&self, label: &str, colour: &str, sentence: &str) {
        let _ = if self.colour_errors {
            writeln!(io::stderr(), "\u{1b}[1;{colour}m{label}:\u{1b}[0m {sentence}")
        } else {
            writeln!(io::stderr(), "{label}: {sentence}")
        };
    }

    /// Asks on the terminal; anything but yes is no. Where nobody can answer, the command fails and says how to go on.
    pub(super) fn confirm(&self, question: &str) -> Result<(), Failure> {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Failure::new(
                Exit::Failed,
                format!("{question} Nothing was changed: give --yes to go on without being asked"),
            ));
        }
        let _ = write!(io::stderr(), "{question} Go on? [y/N] ");
        let mut answer = String::new();
        let _ = io::stdin().lock().read_line(&mut answer);
        if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Failure::new(Exit::Failed, "nothing was changed"))
    }
}
