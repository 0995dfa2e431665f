//! Records and their three prints: a table for people, JSON and CSV for scripts.
//!
//! Names of fields are a promise to scripts; what the table shows and how wide is not.

use std::io::{self, Write};

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::lease::Time;

/// A field: its name for scripts, and how it fares in a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub name: &'static str,
    /// In a table: the last to go when the width is short has 0; none: never in a table.
    pub rank: Option<u8>,
    /// What a table writes behind the value.
    pub unit: &'static str,
}

impl Field {
    /// With a unit, for tables.
    pub(super) const fn in_unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }
}

/// A field that tables show; the higher its rank, the sooner it goes when the terminal is narrow.
pub(super) const fn shown(name: &'static str, rank: u8) -> Field {
    Field { name, rank: Some(rank), unit: "" }
}

/// A field for scripts only.
pub(super) const fn hidden(name: &'static str) -> Field {
    Field { name, rank: None, unit: "" }
}

/// Rows of named values.
pub(super) struct Records {
    fields: Vec<Field>,
    rows: Vec<Vec<Value>>,
    /// The time by which times are shown as distances in a table.
    now: Option<Time>,
}

impl Records {
    pub(super) fn new(fields: impl Into<Vec<Field>>) -> Self {
        Self { fields: fields.into(), rows: Vec::new(), now: None }
    }

    /// One value for each field.
    pub(super) fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.fields.len(), "a value for each field");
        self.rows.push(row);
    }

    /// Tables show times as distances from this one.
    pub(super) fn relative_to(&mut self, now: Time) {
        self.now = Some(now);
    }

    /// One array of objects.
    pub(super) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"[")?;
        for (index, row) in self.rows.iter().enumerate() {
            out.write_all(if index == 0 { b"\n  {" } else { b",\n  {" })?;
            for (place, (field, value)) in self.fields.iter().zip(row).enumerate() {
                let comma = if place == 0 { "" } else { ", " };
                write!(out, "{comma}\"{}\": {value}", field.name)?;
            }
            out.write_all(b"}")?;
        }
        out.write_all(if self.rows.is_empty() { b"]\n" } else { b"\n]\n" })
    }

    /// RFC 4180, with a header, lines ended by LF.
    pub(super) fn csv(&self, out: &mut impl Write) -> io::Result<()> {
        let names: Vec<_> = self.fields.iter().map(|field| field.name).collect();
        writeln!(out, "{}", names.join(","))?;
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(|value| quoted(&plain(value))).collect();
            writeln!(out, "{}", cells.join(","))?;
        }
        Ok(())
    }

    /// A table as wide as its contents, or as the terminal; returns the names of what did not fit.
    pub(super) fn table(
        &self,
        out: &mut impl Write,
        width: Option<u16>,
        colour: bool,
    ) -> io::Result<Vec<&'static str>> {
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let texts = |row: &Vec<Value>| {
            let cells = self.fields.iter().zip(row);
            cells.map(|(field, value)| self.cell(value) + field.unit).collect()
        };
        let cells: Vec<Vec<String>> = self.rows.iter().map(texts).collect();
        let (kept, left_out) = self.fit(&cells, width);
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(kept.iter().map(|&at| heading(self.fields[at].name, colour)));
        for (row, texts) in self.rows.iter().zip(&cells) {
            table.add_row(kept.iter().map(|&at| {
                let cell = Cell::new(&texts[at]);
                match state_colour(&texts[at]).filter(|_| colour && is_state(self.fields[at].name)) {
                    Some(shade) => cell.fg(shade),
                    None if row[at].is_number() => cell.set_alignment(CellAlignment::Right),
                    None => cell,
                }
            }));
        }
        for (place, column) in table.column_iter_mut().enumerate() {
            // Nothing behind the last one, or a line as wide as the terminal would break.
            column.set_padding((0, if place + 1 < kept.len() { 2 } else { 0 }));
        }
        if colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(left_out)
    }

    /// One line for each value that there is; times with their distance behind them.
    pub(super) fn blocks(&self, out: &mut impl Write, colour: bool) -> io::Result<()> {
        let (bold, plain_again) = if colour { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        for row in &self.rows {
            for (field, value) in self.fields.iter().zip(row) {
                if value.is_null() || field.rank.is_none() {
                    continue;
                }
                let text = plain(value);
                let cell = self.cell(value);
                let away = if cell == text { String::new() } else { format!("  ({cell})") };
                writeln!(out, "{bold}{:<32}{plain_again}{text}{away}", field.name.replace('_', " "))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    /// The fields that fit into the width, in order, and the names of those that do not.
    fn fit(&self, cells: &[Vec<String>], width: Option<u16>) -> (Vec<usize>, Vec<&'static str>) {
        let mut kept: Vec<usize> =
            (0..self.fields.len()).filter(|&at| self.fields[at].rank.is_some()).collect();
        let mut left_out = Vec::new();
        let needs = |at: usize| {
            let widest = cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
            widest.max(self.fields[at].name.len()) + 2
        };
        let Some(width) = width.map(usize::from) else { return (kept, left_out) };
        while kept.len() > 1 && kept.iter().map(|&at| needs(at)).sum::<usize>() > width + 2 {
            let Some(&worst) = kept.iter().max_by_key(|&&at| (self.fields[at].rank, at)) else { break };
            if self.fields[worst].rank == Some(0) {
                break;
            }
            kept.retain(|&at| at != worst);
            left_out.push(self.fields[worst].name);
        }
        (kept, left_out)
    }

    fn cell(&self, value: &Value) -> String {
        match (self.now, value.as_str().filter(|text| is_time(text)).and_then(Time::from_text)) {
            (Some(now), Some(time)) => distance(now, time),
            _ if value.is_null() => "-".to_owned(),
            _ => plain(value),
        }
    }
}

/// `in 47m`, `3d ago`.
pub(super) fn distance(now: Time, time: Time) -> String {
    let seconds = time.seconds_since(now);
    let span = match seconds.unsigned_abs() {
        0..=1 => return "now".to_owned(),
        s @ 2..=119 => format!("{s}s"),
        s @ 120..=7_199 => format!("{}m", s / 60),
        s @ 7_200..=172_799 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    };
    if seconds >= 0 { format!("in {span}") } else { format!("{span} ago") }
}

fn is_time(text: &str) -> bool {
    text.len() == 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z')
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn heading(name: &str, colour: bool) -> Cell {
    let cell = Cell::new(name.to_uppercase().replace('_', " "));
    if colour { cell.add_attribute(Attribute::Bold) } else { cell }
}

fn is_state(name: &str) -> bool {
    name == "state"
}

fn state_colour(text: &str) -> Option<Color> {
    match text {
        "online" | "current" => Some(Color::Green),
        "offered" | "cooling" => Some(Color::Cyan),
        "lapsed" | "declined" | "behind" | "missing" => Some(Color::Yellow),
        "newer" => Some(Color::Red),
        _ => None,
    }
}
