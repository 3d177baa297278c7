//! `[[tool]]`: a command that makes an asset.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::{Text, file};
use crate::asset::LogicalPath;
use crate::error::Fault;

/// A command of the site's own, which is run before anything is built.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The program and its arguments; `{output}` in them stands for the file to write.
    pub command: Vec<String>,
    /// What it reads, below the root.
    pub inputs: Vec<GlobMatcher>,
    /// The asset that it makes.
    pub output: LogicalPath,
}

/// The folder, or the file, below which all lies that a pattern is like.
pub fn fixed_part(glob: &GlobMatcher) -> PathBuf {
    glob.glob().glob().split('/').take_while(|part| !part.contains(['*', '?', '[', '{'])).collect()
}

impl Tool {
    /// The command as people would type it.
    pub fn name(&self) -> String {
        match self.command.as_slice() {
            [shell, flag, line] if shell == "sh" && flag == "-c" => line.clone(),
            words => words.join(" "),
        }
    }
}

pub(super) fn resolve(assets: &Path, text: &Text, tool: file::Tool) -> Result<Tool, Fault> {
    let output = LogicalPath::new(tool.output.clone()).map_err(|error| {
        text.fault(error.to_string(), &tool.output)
            .hint("name the tool's output as a path below the assets folder, such as `css/tailwind.css`")
    })?;
    if matches!(output.extension().as_str(), "scss" | "sass" | "js" | "mjs" | "ts" | "mts" | "tsx" | "jsx") {
        return Err(text
            .fault(format!("a tool can't make `{output}`: it is a source that is compiled further"), &tool.output)
            .hint("let it make a stylesheet in CSS, or a file that is taken as it is"));
    }
    if assets.join(output.as_str()).exists() {
        return Err(text
            .fault(format!("a tool and a file are both named `{output}`"), &tool.output)
            .hint("remove the file, or let the tool's output have another name"));
    }
    let command = match tool.command {
        file::Command::Line(line) => ["sh".to_owned(), "-c".to_owned(), line].to_vec(),
        file::Command::Words(words) => words,
    };
    if command.last().is_none_or(|last| last.trim().is_empty()) {
        return Err(text.fault(format!("the tool that makes `{output}` has no command"), &tool.output).hint(
            "write one such as `command = [\"tailwindcss\", \"--input\", \"src/app.css\", \"--output\", \"{output}\"]`",
        ));
    }
    let glob = |pattern: &String| {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        glob.map(|glob| glob.compile_matcher()).map_err(|error| {
            text.fault(format!("`{pattern}` is no pattern: {}", error.kind()), pattern)
                .hint("write one such as `templates/**/*.html`")
        })
    };
    let inputs = tool.inputs.iter().map(glob).collect::<Result<_, _>>()?;
    Ok(Tool { command, inputs, output })
}
