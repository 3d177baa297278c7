//! The one place that writes to the terminal: data to stdout, talk to stderr.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;

use super::events::Events;
use super::github::Annotations;
use super::{Color, Global};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// A column of a table, by what is in it.
#[derive(Debug, Clone, Copy)]
pub enum Column<'h> {
    Text(&'h str),
    Number(&'h str),
}

/// What is drawn of a stage.
struct Bar {
    drawn: ProgressBar,
    /// Of how many steps so many are done, where the bar itself goes by bytes.
    steps: Option<(usize, usize)>,
}

pub struct Terminal {
    json: bool,
    quiet: bool,
    verbose: bool,
    color: bool,
    /// Progress is drawn only where somebody watches.
    bars: bool,
    bar: Mutex<Option<Bar>>,
    events: Option<Events>,
    github: Option<Annotations>,
    /// The one JSON document is written.
    documented: AtomicBool,
}

impl Terminal {
    pub fn new(global: &Global) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color,
        };
        Terminal {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            color,
            bars: terminal && !global.quiet,
            bar: Mutex::new(None),
            events: None,
            github: Annotations::new(&global.root),
            documented: AtomicBool::new(false),
        }
    }

    /// From here on events are written to where `--events` says; on stderr there is nothing else then.
    pub fn begin(&mut self, global: &Global, command: &str) -> Result<()> {
        if let Some(path) = &global.events {
            let path = if path == Path::new("-") { path.clone() } else { global.root.join(path) };
            let events = Events::open(&path, command)?;
            if events.own_stderr() {
                (self.bars, self.github) = (false, None);
            }
            self.events = Some(events);
        }
        Ok(())
    }

    pub fn end(&self, exit_code: u8) {
        if let Some(events) = &self.events {
            events.end(exit_code);
        }
    }

    pub fn json(&self) -> bool {
        self.json
    }

    pub fn color(&self) -> bool {
        self.color
    }

    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// What the command came to, for programs. With `--json` that is all that goes to stdout, and `true` says so.
    pub fn report(&self, report: &impl Serialize) -> Result<bool> {
        if let Some(events) = &self.events {
            events.result(report);
        }
        if self.json {
            self.document(report)?;
        }
        Ok(self.json)
    }

    /// One JSON document on stdout.
    fn document(&self, document: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(document).map_err(|error| Error::Usage {
            message: format!("could not write JSON: {error}"),
            help: "leave out `--json`".to_owned(),
        })?;
        self.data(&text);
        self.documented.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A line of data.
    pub fn data(&self, text: &str) {
        // Who closes the pipe early has read what they wanted.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// A line of talk, unless nobody wants any.
    pub fn say(&self, text: &str) {
        self.note_event(text);
        if !self.quiet {
            self.line(text);
        }
    }

    /// A line of talk that programs wait for.
    pub fn must_say(&self, text: &str) {
        self.note_event(text);
        self.line(text);
    }

    fn note_event(&self, text: &str) {
        if let Some(events) = &self.events {
            events.note(text);
        }
    }

    /// The last stage is over: no bar stays behind.
    pub fn finish(&self) {
        if let Some(bar) = self.bar().take() {
            bar.drawn.finish_and_clear();
        }
    }

    /// Rows under a head.
    pub fn table(&self, head: &[Column<'_>], rows: Vec<Vec<String>>) {
        if self.quiet || self.json || rows.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(head.iter().map(|column| match column {
            Column::Text(name) | Column::Number(name) => *name,
        }));
        table.add_rows(rows);
        for (index, column) in head.iter().enumerate() {
            if let (Column::Number(_), Some(column)) = (column, table.column_mut(index)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self.data(&table.trim_fmt());
    }

    /// Says what went wrong, where, and what to do; as JSON too where that is asked for and nothing else was said so.
    pub fn fail(&self, error: Error) {
        self.finish();
        if self.json && !self.documented.load(Ordering::Relaxed) {
            let failure = Failure { error: error.to_string(), exit_code: error.exit_code() };
            self.data(&serde_json::to_string_pretty(&failure).unwrap_or_default());
        }
        self.complain(&error);
    }

    /// Says what went wrong, and goes on.
    pub fn complain(&self, error: &Error) {
        if let Some(events) = &self.events {
            events.error(error);
        }
        let unicode = std::io::stderr().is_terminal();
        let theme = match (self.color, unicode) {
            (true, true) => GraphicalTheme::unicode(),
            (true, false) => {
                GraphicalTheme { characters: miette::ThemeCharacters::ascii(), ..GraphicalTheme::unicode() }
            }
            (false, true) => GraphicalTheme::unicode_nocolor(),
            (false, false) => GraphicalTheme::none(),
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false);
        let mut text = String::new();
        if handler.render_report(&mut text, error).is_err() {
            text = error.to_string();
        }
        self.line(&format!("error: {}", text.trim()));
        for line in self.github.iter().flat_map(|github| github.error(error)) {
            self.line(&line);
        }
    }

    fn line(&self, text: &str) {
        if self.events.as_ref().is_some_and(Events::own_stderr) {
            return;
        }
        match self.bar().as_ref() {
            Some(bar) => bar.drawn.suspend(|| eprint_line(text)),
            None => eprint_line(text),
        }
    }

    fn bar(&self) -> MutexGuard<'_, Option<Bar>> {
        self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Begins a stage, whose bar goes by bytes where there are some.
    fn begin_stage(&self, name: &'static str, steps: usize, bytes: Option<u64>) {
        self.finish();
        if let Some(events) = &self.events {
            events.stage(name, steps, bytes);
        }
        if self.verbose {
            self.line(name);
        }
        if !self.bars {
            return;
        }
        let by_bytes = bytes.filter(|bytes| *bytes > 0);
        let (drawn, template) = match (steps, by_bytes) {
            (0, _) => (ProgressBar::new_spinner(), "{spinner} {msg}"),
            (_, None) => (ProgressBar::new(steps as u64), "{msg:12} {bar:30} {pos}/{len} {eta}"),
            (_, Some(bytes)) => (
                ProgressBar::new(bytes),
                "{msg:12} {bar:30} {prefix} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
            ),
        };
        drawn.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            drawn.set_style(style);
        }
        drawn.set_message(name);
        drawn.set_prefix(format!("0/{steps}"));
        drawn.enable_steady_tick(Duration::from_millis(120));
        *self.bar() = Some(Bar { drawn, steps: by_bytes.map(|_| (0, steps)) });
    }

    fn take_step(&self, moved: Option<(&str, u64)>) {
        if let Some(events) = &self.events {
            events.step(moved);
        }
        let mut bar = self.bar();
        let Some(Bar { drawn, steps }) = bar.as_mut() else { return };
        match steps {
            None => drawn.inc(1),
            Some((done, steps)) => {
                *done += 1;
                drawn.set_prefix(format!("{done}/{steps}"));
                drawn.inc(moved.map_or(0, |(_, bytes)| bytes));
            }
        }
    }
}

fn eprint_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[derive(Serialize)]
struct Failure {
    error: String,
    exit_code: u8,
}

/// `1 release`, `2 releases`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Bytes as people read them: `1.2 KiB`.
pub fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}

impl Progress for Terminal {
    fn stage(&self, name: &'static str, steps: usize) {
        self.begin_stage(name, steps, None);
    }

    fn step(&self) {
        self.take_step(None);
    }

    fn transfer(&self, name: &'static str, steps: usize, bytes: u64) {
        self.begin_stage(name, steps, Some(bytes));
    }

    fn moved(&self, what: &str, bytes: u64) {
        self.take_step(Some((what, bytes)));
    }

    fn at(&self, what: &str) {
        if let Some(Bar { drawn, .. }) = self.bar().as_ref() {
            drawn.set_message(what.to_owned());
        }
        if self.verbose {
            self.line(what);
        }
    }

    fn note(&self, message: String) {
        self.note_event(&message);
        if self.verbose {
            self.line(&message);
        }
    }

    fn warn(&self, message: String) {
        if let Some(events) = &self.events {
            events.warning(&message);
        }
        if !self.quiet {
            self.line(&format!("warning: {message}"));
        }
        if let Some(github) = &self.github {
            self.line(&github.warning(&message));
        }
    }
}
