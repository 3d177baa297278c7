//! The stage that runs the site's own tools: what they make are assets as if they lay there, and nothing is written there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};

use super::Site;
use super::discover::{Sources, is_style, matching};
use super::transform::css::Compiler;
use crate::config::{Config, Tool};
use crate::error::{Error, Fault, Result};
use crate::fs;

/// What stands in a command for the file to write.
const OUTPUT: &str = "{output}";

/// Runs the tools, one after the other; gives what each made, by the path that it would have had below `assets/`.
pub(super) fn run(site: &Site<'_>) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut made = BTreeMap::new();
    for tool in &site.config.tools {
        made.insert(site.config.assets.join(tool.output.as_str()), make(site, tool)?);
    }
    Ok(made)
}

/// Lets what tools made be compiled as if it lay among the sources.
pub(super) fn provide(sources: &Sources, compiler: &Compiler, config: &Config) -> Result<(), Fault> {
    for (path, bytes) in sources.made.iter().filter(|(path, _)| is_style(&path.to_string_lossy())) {
        let text = str::from_utf8(bytes).map_err(|_| fs::not_utf8(&fs::display_name(&config.root, path), bytes))?;
        compiler.provide(path, text.to_owned());
    }
    Ok(())
}

/// What the tool makes; the last time's, if nothing has changed that it reads.
fn make(site: &Site<'_>, tool: &Tool) -> Result<Vec<u8>> {
    let Site { config, mode, cache, progress, .. } = *site;
    let mut inputs = Vec::new();
    for glob in &tool.inputs {
        let files = matching(config, glob)?;
        if files.is_empty() {
            progress.warn(format!("no file is like `{}`, an input of `{}`", glob.glob(), tool.name()));
        }
        for path in files {
            let bytes = fs::read(&path)?;
            inputs.push((fs::display_name(&config.root, &path), bytes));
        }
    }
    let run = || execute(site, tool);
    // What is told to read nothing may read anything.
    if inputs.is_empty() {
        return run();
    }
    let mut parts = vec![mode.as_str().as_bytes(), tool.output.as_str().as_bytes()];
    parts.extend(tool.command.iter().map(String::as_bytes));
    parts.extend(inputs.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes.as_slice()]));
    cache.get_or_make("tool", &parts, run)
}

fn execute(site: &Site<'_>, tool: &Tool) -> Result<Vec<u8>> {
    let Site { config, mode, progress, .. } = *site;
    let folder = tempfile::tempdir().map_err(Error::io("create a folder in", std::env::temp_dir()))?;
    let file = folder.path().join(tool.output.as_str().rsplit('/').next().unwrap_or_default());
    let path = file.to_string_lossy();
    let mut words = tool.command.iter().map(|word| word.replace(OUTPUT, &path));
    let program = words.next().unwrap_or_default();
    // It stays in this process's group, so that what the terminal interrupts is both.
    let output = Command::new(&program)
        .args(words)
        .current_dir(&config.root)
        .env("PATH", search_path(config))
        .env("NODE_ENV", mode.as_str())
        .env("FINGERPOST_MODE", mode.as_str())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(&program, tool),
            _ => Fault::new(format!("could not run `{}`: {error}", tool.name())).hint("check the command"),
        })?;
    if !output.status.success() {
        return Err(failed(tool, &output).into());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.trim().is_empty() {
        progress.note(format!("`{}`: {}", tool.name(), said.trim_end()));
    }
    if !tool.command.iter().any(|word| word.contains(OUTPUT)) {
        return Ok(output.stdout);
    }
    match file.is_file() {
        true => fs::read(&file),
        false => Err(failed(tool, &output).into()),
    }
}

/// Where programs are looked for: first among those of the site's packages.
fn search_path(config: &Config) -> OsString {
    let own = config.root.ancestors().map(|folder| folder.join("node_modules/.bin")).filter(|path| path.is_dir());
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = own.chain(std::env::split_paths(&inherited)).collect();
    std::env::join_paths(folders).unwrap_or(inherited)
}

fn missing(program: &str, tool: &Tool) -> Fault {
    Fault::new(format!("could not run `{}`: there is no program `{program}`", tool.name())).hint(
        "install it, by `npm install` if it is a package; it is looked for in `node_modules/.bin`, then where the shell looks",
    )
}

/// What went wrong is the tool's to say, so all that it said is shown.
fn failed(tool: &Tool, output: &Output) -> Fault {
    let mut message = format!("`{}` {}", tool.name(), outcome(output.status));
    for (name, bytes) in [("stderr", &output.stderr), ("stdout", &output.stdout)] {
        let said = String::from_utf8_lossy(bytes);
        if !said.trim().is_empty() {
            message += &format!("\n{name}:\n{}", said.trim_end());
        }
    }
    Fault::new(message).hint(match output.status.code() {
        // https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02
        Some(127) => "install what the shell does not find, or check the command",
        Some(0) => "let the command write to `{output}`, or leave that out and let it write to stdout",
        _ => "it is run in the site's root; correct what it says, or the command",
    })
}

fn outcome(status: ExitStatus) -> String {
    match status.success() {
        true => format!("wrote nothing to `{OUTPUT}`"),
        false => format!("failed: {status}"),
    }
}
