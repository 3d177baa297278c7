//! What is missing is installed where that is allowed: by apt, by pip into environments of their own, and from Debian's archive beside
//! the system.

use std::path::Path;
use std::process::Command;

pub fn debian(programs: &[&str], packages: &[&str]) -> Result<(), String> {
    let all_there = || programs.iter().all(|program| on_path(program));
    if all_there() {
        return Ok(());
    }
    let how = format!("needs {}: `apt-get install {}`", programs.join(" and "), packages.join(" "));
    if install(packages) && all_there() { Ok(()) } else { Err(how) }
}

/// A server of Debian's, whose folder need not be on everybody's path.
pub fn server(program: &str, package: &str) -> Result<(), String> {
    let is_there = || Path::new("/usr/sbin").join(program).is_file();
    match is_there() || (install(&[package]) && is_there()) {
        true => Ok(()),
        false => Err(format!("needs {program}: `apt-get install {package}`")),
    }
}

/// Installs Python packages into an environment that has the program afterwards, unless it is there.
pub fn pip(program: &Path, packages: &[&str]) -> Result<(), String> {
    if program.is_file() {
        return Ok(());
    }
    let folder = program.ancestors().nth(2).expect("an environment's folder");
    let run = |program: &Path, arguments: &[&str]| match Command::new(program).args(arguments).output() {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    let venv = || run(Path::new("python3"), &["-m", "venv", &folder.to_string_lossy()]);
    // Debian has the module in a package of its own.
    venv().or_else(|_| {
        let _ = install(&["python3", "python3-venv"]);
        venv()
    })?;
    let arguments = [&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"], packages].concat();
    run(&folder.join("bin/python3"), &arguments)
        .map_err(|error| format!("`pip install {}` failed: {error}", packages.join(" ")))
}

/// Unpacks Debian's packages without installing them, into the folder above `usr`, unless `folder` is there.
pub fn unpack(folder: &Path, packages: &[(&str, &str)]) -> Result<(), String> {
    if folder.is_dir() {
        return Ok(());
    }
    let root =
        folder.ancestors().find(|path| path.ends_with("usr")).and_then(Path::parent).expect("a folder above `usr`");
    let told = |error: std::io::Error| error.to_string();
    let parent = root.parent().expect("a folder");
    std::fs::create_dir_all(parent).map_err(told)?;
    // What is not whole must not be taken for what is.
    let staged = tempfile::tempdir_in(parent).map_err(told)?;
    let unpacked = staged.path().join("unpacked");
    let run = |program: &str, arguments: &[&str]| match Command::new(program).args(arguments).output() {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(format!("`{program} {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&out.stderr))),
        Err(error) => Err(format!("could not run `{program}`: {error}")),
    };
    for (path, digest) in packages {
        let url = format!("http://deb.debian.org/debian/pool/main/{path}");
        let file = staged.path().join("package.deb");
        let _ = std::fs::remove_file(&file);
        let file = file.to_string_lossy();
        run("/usr/lib/apt/apt-helper", &["download-file", &url, &file, &format!("SHA256:{digest}")])?;
        run("dpkg-deb", &["--extract", &file, &unpacked.to_string_lossy()])?;
    }
    std::fs::rename(unpacked, root).map_err(told)
}

/// Installs Debian's packages, where that is allowed. None of them is started as a service: what Debian asks first says no
/// (<https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt>).
fn install(packages: &[&str]) -> bool {
    use std::os::unix::fs::PermissionsExt;
    if !(rustix::process::geteuid().is_root() && on_path("apt-get")) {
        return false;
    }
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let is_ours = !policy.exists()
        && std::fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok()
        && std::fs::set_permissions(policy, std::fs::Permissions::from_mode(0o755)).is_ok();
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .is_ok_and(|out| out.status.success())
    };
    let installed = apt(&["update"]) && apt(&[&["install", "-y", "--no-install-recommends"], packages].concat());
    if is_ours {
        let _ = std::fs::remove_file(policy);
    }
    installed
}

pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
