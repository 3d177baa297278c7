//! What tests need beside this package: found, installed where that is allowed, or named.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use libtest_mimic::{Failed, Trial};

/// Something that a test can't do without.
#[derive(Clone, Copy)]
pub enum Need {
    /// Chromium and its driver.
    Browser,
    /// The packages of `tests/packages`, by npm.
    Packages,
    /// A file system of a few kilobytes.
    SmallDisk,
}

impl Need {
    fn met(self) -> &'static Result<(), String> {
        static BROWSER: OnceLock<Result<(), String>> = OnceLock::new();
        static PACKAGES: OnceLock<Result<(), String>> = OnceLock::new();
        static SMALL_DISK: OnceLock<Result<(), String>> = OnceLock::new();
        match self {
            Need::Browser => {
                BROWSER.get_or_init(|| debian(&["chromium", "chromedriver"], &["chromium", "chromium-driver"]))
            }
            Need::Packages => PACKAGES.get_or_init(npm),
            Need::SmallDisk => SMALL_DISK.get_or_init(|| SmallDisk::mount().map(drop)),
        }
    }
}

/// A test, ignored with the reason if a need is not met.
pub fn trial(name: &str, needs: &[Need], test: impl FnOnce() + Send + 'static) -> Trial {
    let missing = needs.iter().find_map(|need| need.met().as_ref().err());
    let trial = Trial::test(name, move || {
        test();
        Ok::<(), Failed>(())
    });
    match missing {
        None => trial,
        Some(reason) => {
            eprintln!("ignored {name}: {reason}");
            trial.with_ignored_flag(true)
        }
    }
}

/// The tests of a file: `trials![first, second]`, or `trials![[Need::Browser]; first, second]`.
#[macro_export]
macro_rules! trials {
    ($needs:expr; $($name:ident),+ $(,)?) => {
        vec![$($crate::setup::trial(&trials!(@ $name), &$needs, $name)),+]
    };
    (@ $name:ident) => {
        format!("{}::{}", module_path!().trim_start_matches("it::"), stringify!($name))
    };
    ($($name:ident),+ $(,)?) => {
        vec![$($crate::setup::trial(&trials!(@ $name), &[], $name)),+]
    };
}

fn debian(programs: &[&str], packages: &[&str]) -> Result<(), String> {
    let all_there = || programs.iter().all(|program| on_path(program));
    if all_there() {
        return Ok(());
    }
    let how = format!("needs {}: `apt-get install {}`", programs.join(" and "), packages.join(" "));
    if !rustix::process::geteuid().is_root() || !on_path("apt-get") {
        return Err(how);
    }
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .is_ok_and(|out| out.status.success())
    };
    let installed = apt(&["update"]) && apt(&[&["install", "-y", "--no-install-recommends"], packages].concat());
    if installed && all_there() { Ok(()) } else { Err(how) }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Where npm puts the packages.
pub fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages/node_modules")
}

fn npm() -> Result<(), String> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages/package-lock.json");
    let installed = packages().join(".package-lock.json");
    let modified = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    if modified(&installed).is_some() && modified(&installed) >= modified(&lock) {
        return Ok(());
    }
    if !on_path("npm") {
        debian(&["npm"], &["npm"])?;
    }
    let out = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(lock.parent().expect("the packages' folder"))
        .output()
        .map_err(|error| format!("could not run npm: {error}"))?;
    match out.status.success() {
        true => Ok(()),
        false => Err(format!("`npm ci` in tests/packages failed: {}", String::from_utf8_lossy(&out.stderr))),
    }
}

/// A file system in memory that is soon full; unmounted when dropped.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub fn mount() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(folder.path()).output();
        match mounted {
            Ok(out) if out.status.success() => Ok(SmallDisk(folder)),
            _ => Err("needs the right to mount a small file system (root)".to_owned()),
        }
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// What is on it can be read from now on, and nothing else.
    pub fn forbid_writing(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status().expect("mount runs");
        assert!(done.success(), "mounted read-only");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}
