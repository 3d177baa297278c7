//! What can go wrong, told so that it can be put right: each error names the file, key or address, and a way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system said no.
    #[error("could not {action} `{}`", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// What the user wrote can't be built. Every fault that was found is here, at least one.
    #[error("{}", Summary(.0))]
    Build(Vec<Fault>),
    /// A configuration file is at fault.
    #[error("{0}")]
    Config(Fault),
    /// The command line, or a value that it names, makes no sense here.
    #[error("{message}")]
    Usage { message: String, help: String },
    /// The manifest of a build is missing or not what this version writes.
    #[error("could not load the manifest `{}`: {reason}", .path.display())]
    Manifest { path: PathBuf, reason: String },
    /// The work is done, and a budget or a check says that it is not what it should be. At least one finding is here.
    #[error("{message}")]
    Check { message: String, help: String, findings: Vec<Fault> },
    /// A socket could not be opened.
    #[error("could not listen on `{address}`")]
    Listen { address: String, source: io::Error },
    /// A store (a folder or a bucket) refused or failed; what is live there is still the old release.
    #[error("could not {action} `{place}`")]
    Store {
        action: &'static str,
        /// The key in the store, as a URL where it has one.
        place: String,
        help: String,
        outlook: Outlook,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A publish stopped before the release went live.
    #[error("{message}")]
    Publish { message: String, help: String },
    /// The release is live, and its CDN was not purged.
    #[error("{message}")]
    Purge { message: String, help: String },
}

/// What is to be expected of a store that failed, if it is asked again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Outlook {
    /// The same failure.
    #[default]
    Lasting,
    /// The same failure, unless there was an answer before: there was no connection to the store.
    Unreachable,
    /// An answer, perhaps: a connection broke, or the store is in trouble.
    Passing,
    /// An answer, if less is asked of it at once: it says so, perhaps with the time to wait (`Retry-After`), or it took too long.
    Busy(Option<Duration>),
    /// Success, if the bytes were damaged on their way; the same failure, if they are not those that they should be.
    Damaged,
    /// The same failure, unless there are newer credentials.
    Expired,
}

impl Error {
    /// Turns an [`io::Error`] into one that says what was being done to which path.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { action, path: path.as_ref().to_owned(), source }
    }

    /// The first fault, for what can tell of one only.
    pub fn into_fault(self) -> Fault {
        match self {
            Error::Build(mut faults) if !faults.is_empty() => faults.remove(0),
            Error::Config(fault) => fault,
            Error::Io { action, path, source } => {
                Fault::new(format!("could not {action} `{}`: {source}", path.display()))
            }
            error => Fault::new(error.to_string()),
        }
    }

    /// The process's exit code: 1 the work failed, 2 wrong usage or configuration, 3 a budget or a check failed, 4 a publish
    /// failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Config(_) | Error::Usage { .. } => 2,
            Error::Listen { source, address } if is_no_address(source, address) => 2,
            Error::Check { .. } => 3,
            Error::Store { .. } | Error::Publish { .. } => 4,
            _ => 1,
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Build(vec![fault])
    }
}

struct Summary<'a>(&'a [Fault]);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [fault] => write!(f, "{fault}"),
            faults => write!(f, "{} errors in the site's sources", faults.len()),
        }
    }
}

impl Diagnostic for Error {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help: Box<dyn fmt::Display + 'a> = match self {
            Error::Io { source, path, .. } => Box::new(io_help(source, path)?),
            Error::Build(faults) => match faults.as_slice() {
                [fault] => return fault.help(),
                _ => return None,
            },
            Error::Config(fault) => return fault.help(),
            Error::Usage { help, .. }
            | Error::Check { help, .. }
            | Error::Publish { help, .. }
            | Error::Purge { help, .. }
            | Error::Store { help, .. } => Box::new(help),
            Error::Manifest { .. } => Box::new("run `fingerpost build`"),
            Error::Listen { source, address } => Box::new(listen_help(source, address)?),
        };
        Some(help)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.only_fault()?.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.only_fault()?.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self {
            Error::Build(faults) if faults.len() == 1 => None,
            Error::Build(faults) | Error::Check { findings: faults, .. } => {
                Some(Box::new(faults.iter().map(|fault| fault as &dyn Diagnostic)))
            }
            _ => None,
        }
    }
}

impl Error {
    fn only_fault(&self) -> Option<&Fault> {
        match self {
            Error::Config(fault) => Some(fault),
            Error::Build(faults) if faults.len() == 1 => faults.first(),
            _ => None,
        }
    }
}

fn io_help(source: &io::Error, path: &Path) -> Option<String> {
    Some(match source.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("give the current user access to `{}`", path.display())
        }
        io::ErrorKind::StorageFull => {
            "free some space on that disk and run again; nothing that was there is lost".to_owned()
        }
        io::ErrorKind::NotFound => "check the path and `--root`".to_owned(),
        _ => return None,
    })
}

/// Whether what was written can't be listened on, whoever else listens: it is no address, or none of this machine.
fn is_no_address(source: &io::Error, address: &str) -> bool {
    match source.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::AddrNotAvailable => true,
        // A name that could not be looked up has no kind of its own.
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => false,
        _ => address.parse::<std::net::SocketAddr>().is_err(),
    }
}

fn listen_help(source: &io::Error, address: &str) -> Option<String> {
    match source.kind() {
        io::ErrorKind::AddrInUse => Some(format!(
            "another program listens there: end it, or pass another `--listen` (`{}:0` takes a free port)",
            address.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host)
        )),
        io::ErrorKind::InvalidInput => Some("write it as `HOST:PORT`, such as `127.0.0.1:8080`".to_owned()),
        io::ErrorKind::PermissionDenied => {
            Some("ports below 1024 need the right to bind them; pass a higher one with `--listen`".to_owned())
        }
        io::ErrorKind::AddrNotAvailable => Some(
            "no network interface of this machine has that address; `0.0.0.0` stands for all that there are".to_owned(),
        ),
        _ if is_no_address(source, address) => {
            Some("that name could not be looked up; write an address, such as `127.0.0.1:8080`".to_owned())
        }
        _ => None,
    }
}

/// A fault in something that the user wrote: what, where (with the source, so that a frame can be shown), and the way out.
#[derive(Debug, Clone)]
pub struct Fault(Box<Told>);

#[derive(Debug, Clone)]
struct Told {
    message: String,
    help: Option<String>,
    source: Option<NamedSource<String>>,
    label: Option<LabeledSpan>,
}

/// A place in a file that the user wrote.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// As the user knows it.
    pub file: &'a str,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// In characters, within the line.
    pub length: usize,
    /// The whole file.
    pub text: &'a str,
}

impl Fault {
    pub fn new(message: impl Into<String>) -> Self {
        Fault(Box::new(Told { message: message.into(), help: None, source: None, label: None }))
    }

    /// Adds the way out.
    pub fn hint(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Where it is, if that is known.
    pub fn place(&self) -> Option<Place<'_>> {
        let (source, label) = (self.0.source.as_ref()?, self.0.label.as_ref()?);
        let (text, offset) = (source.inner().as_str(), label.offset());
        let before = text.get(..offset)?;
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let length = text
            .get(offset..offset + label.len())
            .map_or(1, |marked| marked.lines().next().map_or(1, |first| first.chars().count()));
        Some(Place { file: source.name(), line, column, length: length.max(1), text })
    }

    /// The way out, if it says one.
    pub fn way_out(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Whether it says where.
    pub fn has_place(&self) -> bool {
        self.0.label.is_some()
    }

    /// Marks `length` bytes from byte `offset` of `text`, which is the file named `name`.
    pub fn at(mut self, name: impl AsRef<str>, text: impl Into<String>, offset: usize, length: usize) -> Self {
        let text = text.into();
        let offset = offset.min(text.len());
        let length = length.min(text.len() - offset);
        self.0.source = Some(NamedSource::new(name, text));
        self.0.label = Some(LabeledSpan::new(Some("here".to_owned()), offset, length));
        self
    }

    /// As [`Fault::at`], for tools that count lines and columns (both from 1, columns in characters).
    pub fn at_line(self, name: impl AsRef<str>, text: impl Into<String>, line: usize, column: usize) -> Self {
        let text = text.into();
        let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let row = text[start..].lines().next().unwrap_or_default();
        let offset = row.char_indices().nth(column.saturating_sub(1)).map_or(row.len(), |(at, _)| at);
        let length = row[offset..].chars().next().map_or(0, char::len_utf8);
        self.at(name, text, start + offset, length)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Fault {}

impl Diagnostic for Fault {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source.as_ref().map(|source| source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.0.label.clone().map(|label| Box::new(std::iter::once(label)) as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_column_become_the_right_bytes() {
        let fault = Fault::new("bad").at_line("a.css", "ä {\n  é: x\n}\n", 2, 4);
        let label = fault.0.label.expect("a label");
        assert_eq!((label.offset(), label.len()), ("ä {\n  é".len(), 1));
    }

    #[test]
    fn a_place_past_the_end_is_pulled_back_into_the_text() {
        let fault = Fault::new("bad").at_line("a.css", "a {", 9, 9);
        assert_eq!(fault.0.label.expect("a label").offset(), 3);
    }

    #[test]
    fn exit_codes_are_the_contract() {
        let usage = Error::Usage { message: String::new(), help: String::new() };
        let publish = Error::Publish { message: String::new(), help: String::new() };
        assert_eq!(Error::from(Fault::new("x")).exit_code(), 1);
        assert_eq!(Error::Config(Fault::new("x")).exit_code(), 2);
        assert_eq!(usage.exit_code(), 2);
        assert_eq!(publish.exit_code(), 4);
        let purge = Error::Purge { message: String::new(), help: String::new() };
        assert_eq!(purge.exit_code(), 1);
        let check = Error::Check { message: String::new(), help: String::new(), findings: Vec::new() };
        assert_eq!(check.exit_code(), 3);
    }
}
