//! What was written, for a fault that points at it and names what may have been meant.

use crate::error::Fault;

/// The configuration file, for pointing at a place in it.
#[derive(Debug)]
pub struct Text<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

impl Text<'_> {
    /// As [`Text::fault`], at the last place.
    pub fn fault_again(&self, message: impl Into<String>, value: &str) -> Fault {
        let fault = Fault::new(message);
        match self.text.rfind(value) {
            Some(at) => fault.at(self.name, self.text, at, value.len()),
            None => fault,
        }
    }

    /// A fault at the first place where `value` stands, in quotes if it does so anywhere, or with no place if it stands nowhere.
    pub fn fault(&self, message: impl Into<String>, value: &str) -> Fault {
        let fault = Fault::new(message);
        let quoted = self.text.find(&format!("\"{value}\"")).map(|at| (at, value.len() + 2));
        match quoted.or_else(|| Some((self.text.find(value)?, value.len()))) {
            Some((at, length)) => fault.at(self.name, self.text, at, length),
            None => fault,
        }
    }
}

/// The candidate that is most like what was written, if one is like it at all.
pub fn nearest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(written, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(written.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b` and `c` ``
pub fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
