//! `--events`: what goes on while it goes on, one JSON object a line. `docs/events.md` says what is in them.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use miette::Diagnostic;
use serde::Serialize;

use crate::date::Date;
use crate::error::{Error, Result};

/// Goes up when something that was there means something else; what is new is no reason.
const VERSION: u32 = 1;

pub struct Events {
    begun: Instant,
    inner: Mutex<Inner>,
    /// Whether they go to stderr, which then has nothing else.
    own_stderr: bool,
}

struct Inner {
    out: Box<dyn Write + Send>,
    stage: Stage,
}

/// The stage that is under way, and how far it is.
#[derive(Default)]
struct Stage {
    name: &'static str,
    steps: usize,
    bytes: Option<u64>,
    done: usize,
    done_bytes: u64,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a, R: Serialize> {
    Begin {
        version: u32,
        program: &'static str,
        command: &'a str,
        time: String,
    },
    Stage {
        stage: &'static str,
        steps: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
    },
    Step {
        stage: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        what: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        done: usize,
        steps: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        done_bytes: Option<u64>,
    },
    Note {
        message: &'a str,
    },
    Warning {
        message: &'a str,
    },
    Error {
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        help: Option<String>,
        exit_code: u8,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        findings: Vec<String>,
    },
    Result {
        result: &'a R,
    },
    End {
        exit_code: u8,
    },
}

#[derive(Serialize)]
struct Line<'a, R: Serialize> {
    #[serde(flatten)]
    event: Event<'a, R>,
    /// Seconds since the beginning.
    elapsed: f64,
}

impl Events {
    /// Writes to the file, which is made anew; `-` is stderr.
    pub fn open(path: &Path, command: &str) -> Result<Self> {
        let own_stderr = path == Path::new("-");
        let out: Box<dyn Write + Send> = match own_stderr {
            true => Box::new(std::io::stderr()),
            false => Box::new(File::create(path).map_err(Error::io("write", path))?),
        };
        let inner = Mutex::new(Inner { out, stage: Stage::default() });
        let events = Events { begun: Instant::now(), inner, own_stderr };
        events.write(Event::Begin {
            version: VERSION,
            program: concat!("fingerpost ", env!("CARGO_PKG_VERSION")),
            command,
            time: format!("{}Z", Date::of(SystemTime::now())),
        });
        Ok(events)
    }

    pub fn own_stderr(&self) -> bool {
        self.own_stderr
    }

    pub fn stage(&self, name: &'static str, steps: usize, bytes: Option<u64>) {
        self.with(|inner| {
            inner.stage = Stage { name, steps, bytes, ..Stage::default() };
            Event::Stage { stage: name, steps, bytes }
        });
    }

    pub fn step(&self, moved: Option<(&str, u64)>) {
        self.with(|inner| {
            let stage = &mut inner.stage;
            stage.done += 1;
            stage.done_bytes += moved.map_or(0, |(_, bytes)| bytes);
            Event::Step {
                stage: stage.name,
                what: moved.map(|(what, _)| what),
                bytes: moved.map(|(_, bytes)| bytes),
                done: stage.done,
                steps: stage.steps,
                done_bytes: stage.bytes.map(|_| stage.done_bytes),
            }
        });
    }

    pub fn note(&self, message: &str) {
        self.write(Event::Note { message });
    }

    pub fn warning(&self, message: &str) {
        self.write(Event::Warning { message });
    }

    pub fn error(&self, error: &Error) {
        self.write(Event::Error {
            message: error.to_string(),
            help: error.help().map(|help| help.to_string()),
            exit_code: error.exit_code(),
            findings: error.related().into_iter().flatten().map(ToString::to_string).collect(),
        });
    }

    pub fn result(&self, result: &impl Serialize) {
        self.line(|_| Event::Result { result });
    }

    pub fn end(&self, exit_code: u8) {
        self.write(Event::End { exit_code });
    }

    fn write(&self, event: Event<'_, ()>) {
        self.with(|_| event);
    }

    fn with<'a>(&self, event: impl FnOnce(&mut Inner) -> Event<'a, ()>) {
        self.line(event);
    }

    fn line<'a, R: Serialize + 'a>(&self, event: impl FnOnce(&mut Inner) -> Event<'a, R>) {
        let mut inner = self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let event = event(&mut inner);
        let elapsed = (self.begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        if let Ok(mut line) = serde_json::to_vec(&Line { event, elapsed }) {
            line.push(b'\n');
            // In one piece, so that a reader never sees half of one. Who reads no more has read what they wanted.
            let _ = inner.out.write_all(&line);
        }
    }
}
