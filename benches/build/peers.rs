//! The programs that builds are measured beside, installed by npm below `benches/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

pub fn packages() -> PathBuf {
    folder().join("node_modules")
}

/// Its program itself, not the script that npm would start it by.
pub fn esbuild() -> PathBuf {
    let (os, arch) = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", arch) => ("darwin", arch),
        other => other,
    };
    let arch = if arch == "x86_64" { "x64" } else { "arm64" };
    packages().join(format!("@esbuild/{os}-{arch}/bin/esbuild"))
}

pub fn vite() -> PathBuf {
    packages().join("vite/bin/vite.js")
}

/// Installs what the lock file says, unless that is there.
pub fn install() -> Result<(), String> {
    let modified = |path: PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let installed = modified(packages().join(".package-lock.json"));
    if installed.is_some() && installed >= modified(folder().join("package-lock.json")) {
        return Ok(());
    }
    let mut command = Command::new("npm");
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder());
    let out = command.output().map_err(|error| format!("needs Node.js and npm: could not run npm: {error}"))?;
    match out.status.success() {
        true => Ok(()),
        false => Err(format!("`npm ci` in benches/peers failed: {}", String::from_utf8_lossy(&out.stderr))),
    }
}

/// Copies a folder of a package with all in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}

/// What each of them calls itself.
pub fn versions(program: &Path) -> Vec<String> {
    let ask = |command: &mut Command| {
        let out = command.arg("--version").output().map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
        out.unwrap_or_else(|error| error.to_string())
    };
    vec![
        ask(&mut Command::new(program)),
        format!("esbuild {}", ask(&mut Command::new(esbuild()))),
        ask(Command::new("node").arg(vite())),
    ]
}
