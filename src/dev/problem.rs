//! What went wrong, as browsers are told of it.

use serde::Serialize;

use crate::error::{Error, Fault, Place};
use miette::Diagnostic;

/// Lines that are shown before and after the one at fault.
const AROUND: usize = 3;

/// One fault: what, where, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub place: Option<Spot>,
}

/// A place in a source, and the lines about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spot {
    /// Below the root.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub frame: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub number: usize,
    pub text: String,
    pub marked: bool,
    /// Where in the line the fault is, and how long it is; in characters, from 0.
    pub at: usize,
    pub length: usize,
}

impl Problem {
    /// Each fault of an error.
    pub fn of(error: &Error) -> Vec<Problem> {
        match error {
            Error::Build(faults) => faults.iter().map(Problem::of_fault).collect(),
            Error::Config(fault) => vec![Problem::of_fault(fault)],
            error => {
                let hint = error.help().map(|help| help.to_string());
                let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
                vec![Problem { message: format!("{error}{cause}"), hint, place: None }]
            }
        }
    }

    fn of_fault(fault: &Fault) -> Problem {
        let spot = |place: Place<'_>| Spot::new(place.file, place.text, place.line, place.column, place.length);
        Problem { message: fault.to_string(), hint: fault.way_out().map(str::to_owned), place: fault.place().map(spot) }
    }
}

impl Spot {
    /// The place in a file of that text. Lines and columns are counted from 1.
    pub fn new(file: &str, text: &str, line: usize, column: usize, length: usize) -> Self {
        let first = line.saturating_sub(AROUND).max(1);
        let rows = text.lines().enumerate().skip(first - 1).take(line + AROUND + 1 - first);
        let row = |(index, text): (usize, &str)| Row {
            number: index + 1,
            text: text.replace('\t', " "),
            marked: index + 1 == line,
            at: column.saturating_sub(1),
            length,
        };
        Spot { file: file.to_owned(), line, column, frame: rows.map(row).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_with_its_place_and_the_lines_about_it() {
        let text = "a {\n  color: red;\n  é: ;\n}\n\nb {}\nc {}\nd {}\n";
        let fault = Fault::new("bad").hint("mend it").at_line("css/a.css", text, 3, 3);
        let problems = Problem::of(&Error::Build(vec![fault, Fault::new("worse")]));
        let [first, second] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!((first.message.as_str(), first.hint.as_deref()), ("bad", Some("mend it")));
        let spot = first.place.as_ref().unwrap();
        assert_eq!((spot.file.as_str(), spot.line, spot.column), ("css/a.css", 3, 3));
        let numbers: Vec<usize> = spot.frame.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        let marked: Vec<&Row> = spot.frame.iter().filter(|row| row.marked).collect();
        assert!(
            matches!(marked.as_slice(), [row] if row.text == "  é: ;" && (row.at, row.length) == (2, 1)),
            "{marked:?}"
        );
        assert_eq!((second.message.as_str(), &second.place), ("worse", &None));
    }
}
