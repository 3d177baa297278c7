//! Opens a source in the developer's editor, at its line.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// Where the editor is named, the first before the others.
const VARIABLES: [&str; 3] = ["FINGERPOST_EDITOR", "VISUAL", "EDITOR"];

/// Starts the editor, and does not wait for it.
pub fn open(root: &Path, file: &str, line: usize, column: usize) -> Result<()> {
    let Some(editor) = VARIABLES.iter().find_map(std::env::var_os).filter(|editor| !editor.is_empty()) else {
        return Err(Error::Usage {
            message: "no editor is named".to_owned(),
            help: "set `FINGERPOST_EDITOR`, for example to `code`".to_owned(),
        });
    };
    let editor = editor.to_string_lossy().into_owned();
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or_default().to_owned();
    let given: Vec<&str> = words.collect();
    let path = root.join(file);
    let child = Command::new(&program)
        .args(&given)
        .args(arguments(&program, &path, line, column))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| Error::Usage {
        message: format!("could not start the editor `{program}`: {error}"),
        help: "check `FINGERPOST_EDITOR`".to_owned(),
    })?;
    // So that no dead process stays behind.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// How each editor is told a place, as their manuals say.
fn arguments(program: &str, path: &Path, line: usize, column: usize) -> Vec<OsString> {
    let name = Path::new(program).file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let place = || OsString::from(format!("{}:{line}:{column}", path.display()));
    let words = |words: &[String]| words.iter().map(OsString::from).chain([path.into()]).collect();
    match name.as_str() {
        "code" | "code-insiders" | "codium" | "cursor" | "windsurf" => vec!["--goto".into(), place()],
        "subl" | "sublime_text" | "zed" | "zeditor" | "atom" | "hx" | "helix" | "micro" => vec![place()],
        "vi" | "vim" | "nvim" | "gvim" | "mvim" => words(&[format!("+call cursor({line},{column})")]),
        "emacs" | "emacsclient" | "kak" => words(&[format!("+{line}:{column}")]),
        "nano" | "gedit" | "joe" => words(&[format!("+{line}")]),
        "idea" | "webstorm" | "phpstorm" | "pycharm" | "rustrover" | "goland" | "clion" | "rubymine" => {
            words(&["--line".to_owned(), line.to_string(), "--column".to_owned(), column.to_string()])
        }
        "kate" | "kwrite" => words(&["--line".to_owned(), line.to_string(), "--column".to_owned(), column.to_string()]),
        _ => vec![path.into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_editor_is_told_the_place_in_its_own_way() {
        let told = |program| {
            let words = arguments(program, Path::new("/s/a.css"), 3, 5);
            words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        for (program, want) in [
            ("code", "--goto /s/a.css:3:5"),
            ("/usr/bin/nvim", "+call cursor(3,5) /s/a.css"),
            ("emacsclient", "+3:5 /s/a.css"),
            ("webstorm", "--line 3 --column 5 /s/a.css"),
            ("zed", "/s/a.css:3:5"),
            ("ed", "/s/a.css"),
        ] {
            assert_eq!(told(program), want, "{program}");
        }
    }
}
