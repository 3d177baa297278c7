//! What tests need beside this package: found, installed where that is allowed, or named.

mod install;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use install::{debian, on_path, pip, server, unpack};
use libtest_mimic::{Failed, Trial};

/// Something that a test can't do without.
#[derive(Clone, Copy)]
pub enum Need {
    /// Chromium and its driver.
    Browser,
    /// The daemons of a Ceph cluster and its S3 gateway, for `tests/ceph/run`.
    Ceph,
    /// Django, and the packages for it that read manifests.
    Django,
    /// Flask, gunicorn and pytest, for the Python package and the app of `tests/flask`.
    Flask,
    /// PHP, and the parts of Laravel that read Vite's manifest.
    Laravel,
    /// A web server, for `bench`.
    Nginx,
    /// A cache, for `bench`.
    Varnish,
    /// A network namespace of one's own.
    Namespaces,
    /// Networks in it that the kernel makes.
    Netem,
    /// moto, which plays the part of AWS.
    Moto,
    Node,
    /// The packages of `tests/packages`, by npm.
    Packages,
    /// Ruby, and Propshaft.
    Propshaft,
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
    /// nginx with its module for Brotli, Caddy and Apache, as Debian has them.
    WebServers,
    /// maturin, and the wheels of what the app of `tests/flask` needs.
    Wheel,
}

impl Need {
    fn met(self) -> &'static Result<(), String> {
        static BROWSER: OnceLock<Result<(), String>> = OnceLock::new();
        static CEPH: OnceLock<Result<(), String>> = OnceLock::new();
        static DJANGO: OnceLock<Result<(), String>> = OnceLock::new();
        static FLASK: OnceLock<Result<(), String>> = OnceLock::new();
        static LARAVEL: OnceLock<Result<(), String>> = OnceLock::new();
        static NGINX: OnceLock<Result<(), String>> = OnceLock::new();
        static VARNISH: OnceLock<Result<(), String>> = OnceLock::new();
        static MOTO: OnceLock<Result<(), String>> = OnceLock::new();
        static NAMESPACES: OnceLock<Result<(), String>> = OnceLock::new();
        static NETEM: OnceLock<Result<(), String>> = OnceLock::new();
        static NODE: OnceLock<Result<(), String>> = OnceLock::new();
        static PACKAGES: OnceLock<Result<(), String>> = OnceLock::new();
        static PROPSHAFT: OnceLock<Result<(), String>> = OnceLock::new();
        static SMALL_DISK: OnceLock<Result<(), String>> = OnceLock::new();
        static CURL: OnceLock<Result<(), String>> = OnceLock::new();
        static REDBOT: OnceLock<Result<(), String>> = OnceLock::new();
        static SLOWHTTPTEST: OnceLock<Result<(), String>> = OnceLock::new();
        static TLS: OnceLock<Result<(), String>> = OnceLock::new();
        static USER_NAMESPACES: OnceLock<Result<(), String>> = OnceLock::new();
        static WEB_SERVERS: OnceLock<Result<(), String>> = OnceLock::new();
        static WHEEL: OnceLock<Result<(), String>> = OnceLock::new();
        match self {
            Need::Browser => {
                BROWSER.get_or_init(|| debian(&["chromium", "chromedriver"], &["chromium", "chromium-driver"]))
            }
            Need::Ceph => CEPH.get_or_init(|| {
                let programs =
                    ["ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "curl", "python3", "setpriv"];
                debian(&programs, &["ceph-mon", "ceph-osd", "radosgw", "curl", "python3", "util-linux"])
            }),
            Need::Django => DJANGO.get_or_init(|| pip(&django(), &["--require-hashes", "--requirement", DJANGO_LOCK])),
            Need::Flask => FLASK.get_or_init(|| pip(&flask("pytest"), &["--requirement", FLASK_LOCK])),
            Need::Laravel => LARAVEL.get_or_init(|| {
                debian(&["php"], &["php-cli", "php-mbstring"])?;
                unpack(&laravel(), &LARAVEL_PACKAGES)
            }),
            Need::Nginx => NGINX.get_or_init(|| server("nginx", "nginx-light")),
            Need::Varnish => VARNISH.get_or_init(|| server("varnishd", "varnish")),
            Need::Namespaces => {
                NAMESPACES.get_or_init(|| inside("true").map_err(|why| format!("needs network namespaces: {why}")))
            }
            Need::Netem => NETEM.get_or_init(|| {
                inside("tc qdisc add dev lo root netem delay 1ms")
                    .map_err(|why| format!("needs the kernel's sch_netem: {why}"))
            }),
            Need::Moto => MOTO.get_or_init(|| pip(&moto(), &["--requirement", MOTO_LOCK])),
            Need::Node => NODE.get_or_init(|| debian(&["node"], &["nodejs"])),
            Need::Packages => PACKAGES.get_or_init(npm),
            Need::Propshaft => PROPSHAFT.get_or_init(|| {
                debian(&["ruby"], &["ruby"])?;
                unpack(&propshaft(), &PROPSHAFT_PACKAGES)
            }),
            Need::SmallDisk => SMALL_DISK.get_or_init(|| SmallDisk::mount().map(drop)),
            Need::Curl => CURL.get_or_init(|| debian(&["curl"], &["curl"])),
            Need::Redbot => REDBOT.get_or_init(|| pip(&redbot(), &REDBOT_PACKAGES)),
            Need::Slowhttptest => SLOWHTTPTEST.get_or_init(|| debian(&["slowhttptest"], &["slowhttptest"])),
            Need::Tls => TLS.get_or_init(speaks_tls),
            Need::UserNamespaces => USER_NAMESPACES.get_or_init(has_user_namespaces),
            Need::WebServers => WEB_SERVERS.get_or_init(|| {
                debian(
                    &["nginx", "caddy", "apache2"],
                    &["nginx-light", "libnginx-mod-http-brotli-static", "caddy", "apache2"],
                )
            }),
            Need::Wheel => WHEEL.get_or_init(|| {
                pip(&maturin(), &["--requirement", MATURIN_LOCK])?;
                download()?;
                fetch()
            }),
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

/// Runs a line in a network namespace of its own.
fn inside(line: &str) -> Result<(), String> {
    let script = format!("ip link set dev lo up && {line}");
    let mut reasons = Vec::new();
    for way_in in [&["--net"][..], &["--user", "--map-current-user", "--keep-caps", "--net"]] {
        match Command::new("unshare").args(way_in).args(["--", "sh", "-c", &script]).output() {
            Ok(out) if out.status.success() => return Ok(()),
            Ok(out) => reasons.push(String::from_utf8_lossy(&out.stderr).trim().to_owned()),
            Err(error) => reasons.push(format!("unshare, of util-linux: {error}")),
        }
    }
    Err(reasons.join("; "))
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

/// All that the Django project of `tests/frameworks` needs, by version and digest.
const DJANGO_LOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/django.txt");

/// The program of Django; the Python of its environment lies beside it.
pub fn django() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("django-5.2.19/bin/django-admin")
}

/// All that the app of `tests/flask` needs, and the tests of the Python package, by version.
const FLASK_LOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flask/requirements.txt");

/// A program of the environment that has Flask, gunicorn and pytest.
pub fn flask(program: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("flask/bin").join(program)
}

/// maturin and its digests.
const MATURIN_LOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/maturin.txt");

/// What builds wheels, in an environment of its own.
pub fn maturin() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("maturin/bin/maturin")
}

/// Where the wheels are of what the app of `tests/flask` needs.
pub fn wheels() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheels")
}

/// Downloads them, unless they were downloaded by the same lock.
fn download() -> Result<(), String> {
    let lock = std::fs::read(FLASK_LOCK).map_err(|error| error.to_string())?;
    let done = wheels().join("requirements.txt");
    if std::fs::read(&done).is_ok_and(|by| by == lock) {
        return Ok(());
    }
    let out = Command::new(maturin().with_file_name("python3"))
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"])
        .args(["--requirement", FLASK_LOCK, "--dest"])
        .arg(wheels())
        .output()
        .map_err(|error| error.to_string())?;
    match out.status.success() {
        true => std::fs::write(&done, lock).map_err(|error| error.to_string()),
        false => Err(format!("`pip download` failed: {}", String::from_utf8_lossy(&out.stderr))),
    }
}

/// Fetches the sources of all crates, those for other platforms too: maturin asks cargo about them, and has no network in the tests.
fn fetch() -> Result<(), String> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let out = Command::new(env!("CARGO"))
        .args(["fetch", "--locked", "--quiet", "--manifest-path", manifest])
        .output()
        .map_err(|error| error.to_string())?;
    match out.status.success() {
        true => Ok(()),
        false => Err(format!("`cargo fetch` failed: {}", String::from_utf8_lossy(&out.stderr))),
    }
}

/// The folder of a package's files.
pub fn laravel() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("laravel-10.48.29/usr/share/php")
}

/// Packages of a later Debian than may be installed: by their path in the archive, and SHA-256.
const LARAVEL_PACKAGES: [(&str, &str); 6] = [
    (
        "p/php-laravel-framework/php-illuminate-collections_10.48.29+dfsg-1_all.deb",
        "ccc4ec78cba372d6a43aac3e05d12d10feacf450608b3bee1b7bc8e93104402c",
    ),
    (
        "p/php-laravel-framework/php-illuminate-conditionable_10.48.29+dfsg-1_all.deb",
        "3fd7a7ca88b6e6bf0214f30c2b48de74707875c597052ab5dda628cdae98460e",
    ),
    (
        "p/php-laravel-framework/php-illuminate-contracts_10.48.29+dfsg-1_all.deb",
        "c75e08300a2bba7aea9e8eeda4163b9af639c605871fff34948add8325ffd57b",
    ),
    (
        "p/php-laravel-framework/php-illuminate-macroable_10.48.29+dfsg-1_all.deb",
        "1eb77e18310537b7b6ae639a47d6070b8850180cab18c8b429cccb1a186e1c85",
    ),
    (
        "p/php-laravel-framework/php-illuminate-support_10.48.29+dfsg-1_all.deb",
        "a21fd94fdae088d6ad7724271dacd21f7bed4f4396e5058a9adbed54ec40fa9d",
    ),
    (
        "p/php-laravel-framework/php-laravel-framework_10.48.29+dfsg-1_all.deb",
        "76a40724c1a7190719ddb7595ccb4eac5a8ceb89160a46f57a17be1e96fd5aa7",
    ),
];

/// The folder of Propshaft's library.
pub fn propshaft() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("propshaft-1.3.2/usr/share/rubygems-integration/all/gems/propshaft-1.3.2/lib")
}

const PROPSHAFT_PACKAGES: [(&str, &str); 1] = [(
    "r/ruby-propshaft/ruby-propshaft_1.3.2-1_all.deb",
    "aef8e8be4460caeaf8b68fd620cf68fcc3e0c0094ad8fd54e2f1d24ad8327ab7",
)];

/// The program, by a name that stays: maturin moves what cargo has built away for a moment, to put it into a wheel.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program");
        std::fs::create_dir_all(&folder).expect("a folder");
        let (program, link) = (folder.join("fingerpost"), folder.join(std::process::id().to_string()));
        std::fs::hard_link(env!("CARGO_BIN_EXE_fingerpost"), &link).expect("a link to the program");
        std::fs::rename(&link, &program).expect("its name");
        // Nothing is renamed where both are the same file.
        let _ = std::fs::remove_file(&link);
        program
    })
}

fn speaks_tls() -> Result<(), String> {
    let help = Command::new(program()).args(["serve", "--help"]).output();
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
