//! The one place that writes to the terminal: data to stdout, talk to stderr.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;

use super::github::Annotations;
use super::{Color, Global};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// A column of a table, by what is in it.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    Text(&'static str),
    Number(&'static str),
}

pub struct Terminal {
    json: bool,
    quiet: bool,
    verbose: bool,
    color: bool,
    /// Progress is drawn only where somebody watches.
    bars: bool,
    bar: Mutex<Option<ProgressBar>>,
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
            github: Annotations::new(&global.root),
            documented: AtomicBool::new(false),
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

    /// One JSON document on stdout.
    pub fn document(&self, document: &impl Serialize) -> Result<()> {
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
        if !self.quiet {
            self.line(text);
        }
    }

    /// A line of talk that programs wait for.
    pub fn must_say(&self, text: &str) {
        self.line(text);
    }

    /// The last stage is over: no bar stays behind.
    pub fn finish(&self) {
        if let Some(bar) = self.take_bar() {
            bar.finish_and_clear();
        }
    }

    /// Rows under a head.
    pub fn table(&self, head: &[Column], rows: Vec<Vec<String>>) {
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
        if let Some(bar) = self.take_bar() {
            bar.finish_and_clear();
        }
        if self.json && !self.documented.load(Ordering::Relaxed) {
            let failure = Failure { error: error.to_string(), exit_code: error.exit_code() };
            self.data(&serde_json::to_string_pretty(&failure).unwrap_or_default());
        }
        self.complain(&error);
    }

    /// Says what went wrong, and goes on.
    pub fn complain(&self, error: &Error) {
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
        let bar = self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match bar.as_ref() {
            Some(bar) => bar.suspend(|| eprint_line(text)),
            None => eprint_line(text),
        }
    }

    fn take_bar(&self) -> Option<ProgressBar> {
        self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
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

/// Bytes as people read them: `1.2 KiB`.
pub fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}

impl Progress for Terminal {
    fn stage(&self, name: &'static str, steps: usize) {
        self.finish();
        if self.verbose {
            self.line(name);
        }
        if !self.bars {
            return;
        }
        let bar = match steps {
            0 => ProgressBar::new_spinner(),
            steps => ProgressBar::new(steps as u64),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        let template = if steps == 0 { "{spinner} {msg}" } else { "{msg:12} {bar:30} {pos}/{len} {eta}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(name);
        bar.enable_steady_tick(Duration::from_millis(120));
        *self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(bar);
    }

    fn step(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_ref() {
            bar.inc(1);
        }
    }

    fn note(&self, message: String) {
        if self.verbose {
            self.line(&message);
        }
    }

    fn warn(&self, message: String) {
        self.say(&format!("warning: {message}"));
        if let Some(github) = &self.github {
            self.line(&github.warning(&message));
        }
    }
}
