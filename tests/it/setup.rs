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
    /// The daemons of a Ceph cluster and its S3 gateway, for `tests/ceph/run`.
    Ceph,
    /// Flask, gunicorn and pytest, for the Python package and the app of `tests/flask`.
    Flask,
    /// A web server, for `bench`.
    Nginx,
    /// A cache, for `bench`.
    Varnish,
    /// moto, which plays the part of AWS.
    Moto,
    /// The packages of `tests/packages`, by npm.
    Packages,
    /// A file system of a few kilobytes.
    SmallDisk,
    Curl,
    /// REDbot, which looks for what is wrong in the answers to requests.
    Redbot,
    Slowhttptest,
    /// A server that speaks TLS.
    Tls,
    /// A user's limits that hold for one process alone.
    UserNamespaces,
}

impl Need {
    fn met(self) -> &'static Result<(), String> {
        static BROWSER: OnceLock<Result<(), String>> = OnceLock::new();
        static CEPH: OnceLock<Result<(), String>> = OnceLock::new();
        static FLASK: OnceLock<Result<(), String>> = OnceLock::new();
        static NGINX: OnceLock<Result<(), String>> = OnceLock::new();
        static VARNISH: OnceLock<Result<(), String>> = OnceLock::new();
        static MOTO: OnceLock<Result<(), String>> = OnceLock::new();
        static PACKAGES: OnceLock<Result<(), String>> = OnceLock::new();
        static SMALL_DISK: OnceLock<Result<(), String>> = OnceLock::new();
        static CURL: OnceLock<Result<(), String>> = OnceLock::new();
        static REDBOT: OnceLock<Result<(), String>> = OnceLock::new();
        static SLOWHTTPTEST: OnceLock<Result<(), String>> = OnceLock::new();
        static TLS: OnceLock<Result<(), String>> = OnceLock::new();
        static USER_NAMESPACES: OnceLock<Result<(), String>> = OnceLock::new();
        match self {
            Need::Browser => {
                BROWSER.get_or_init(|| debian(&["chromium", "chromedriver"], &["chromium", "chromium-driver"]))
            }
            Need::Ceph => CEPH.get_or_init(|| {
                let programs =
                    ["ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "curl", "python3", "setpriv"];
                debian(&programs, &["ceph-mon", "ceph-osd", "radosgw", "curl", "python3", "util-linux"])
            }),
            Need::Flask => FLASK.get_or_init(|| pip(&flask("pytest"), &["--requirement", FLASK_LOCK])),
            Need::Nginx => NGINX.get_or_init(|| server("nginx", "nginx-light")),
            Need::Varnish => VARNISH.get_or_init(|| server("varnishd", "varnish")),
            Need::Moto => MOTO.get_or_init(|| pip(&moto(), &["--requirement", MOTO_LOCK])),
            Need::Packages => PACKAGES.get_or_init(npm),
            Need::SmallDisk => SMALL_DISK.get_or_init(|| SmallDisk::mount().map(drop)),
            Need::Curl => CURL.get_or_init(|| debian(&["curl"], &["curl"])),
            Need::Redbot => REDBOT.get_or_init(|| pip(&redbot(), &REDBOT_PACKAGES)),
            Need::Slowhttptest => SLOWHTTPTEST.get_or_init(|| debian(&["slowhttptest"], &["slowhttptest"])),
            Need::Tls => TLS.get_or_init(speaks_tls),
            Need::UserNamespaces => USER_NAMESPACES.get_or_init(has_user_namespaces),
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
    if install(packages) && all_there() { Ok(()) } else { Err(how) }
}

/// A server of Debian's, which is not to be started as a service when it is installed.
fn server(program: &str, package: &str) -> Result<(), String> {
    let path = Path::new("/usr/sbin").join(program);
    if path.is_file() {
        return Ok(());
    }
    // What Debian asks before it starts one: https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let is_ours = !policy.exists() && std::fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok();
    if is_ours {
        let _ = Command::new("chmod").arg("755").arg(policy).output();
    }
    let installed = install(&[package]) && path.is_file();
    if is_ours {
        let _ = std::fs::remove_file(policy);
    }
    if installed { Ok(()) } else { Err(format!("needs {program}: `apt-get install {package}`")) }
}

fn has_user_namespaces() -> Result<(), String> {
    let script = "echo 5 > /proc/sys/user/max_inotify_watches";
    let out = Command::new("unshare").args(["--user", "--map-root-user", "sh", "-c", script]).output();
    match out {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(format!("needs user namespaces: {}", String::from_utf8_lossy(&out.stderr).trim())),
        Err(error) => Err(format!("needs unshare, of util-linux: {error}")),
    }
}

/// Installs Debian's packages, where that is allowed.
fn install(packages: &[&str]) -> bool {
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .is_ok_and(|out| out.status.success())
    };
    rustix::process::geteuid().is_root()
        && on_path("apt-get")
        && apt(&["update"])
        && apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
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

const REDBOT_PACKAGES: [&str; 3] = ["redbot==2.7.1", "httplint==2026.10.4", "thor==0.17.0"];

/// The program of REDbot, in an environment of its own.
pub fn redbot() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(REDBOT_PACKAGES[0]).join("bin/redbot")
}

/// All that moto needs, by version.
const MOTO_LOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/moto.txt");

/// The program of moto's server, in an environment of its own.
pub fn moto() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto/bin/moto_server")
}

/// All that the app of `tests/flask` needs, and the tests of the Python package, by version.
const FLASK_LOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flask/requirements.txt");

/// A program of the environment that has Flask, gunicorn and pytest.
pub fn flask(program: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("flask/bin").join(program)
}

/// Installs Python packages into an environment that has the program afterwards, unless it is there.
fn pip(program: &Path, packages: &[&str]) -> Result<(), String> {
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

fn speaks_tls() -> Result<(), String> {
    let help = Command::new(env!("CARGO_BIN_EXE_fingerpost")).args(["serve", "--help"]).output();
    let help = help.map_err(|error| error.to_string())?;
    match String::from_utf8_lossy(&help.stdout).contains("--tls-cert") {
        true => Ok(()),
        false => Err("this build's `serve` has no TLS".to_owned()),
    }
}

/// Writes a certificate for `localhost` and its key into a folder, and gives their paths.
pub fn certificate(folder: &Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    };
    (write("certificate.pem", made.cert.pem()), write("key.pem", made.signing_key.serialize_pem()))
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
