//! A bucket in an S3 server that others have written, and the program run on it. Its objects are read by plain HTTP, so that they
//! are seen as users get them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use fingerpost::fingerprint::Digest;
use fingerpost::publish::S3;
use fingerpost::publish::s3::Credentials;
use fingerpost::release::{Current, Record, ReleaseId};

use crate::http::{Response, get, request};
use crate::setup;
use crate::site::{Run, Site};

pub struct Bucket {
    /// `127.0.0.1:PORT`
    address: String,
    name: String,
    credentials: Credentials,
    /// What a reader says to be let in.
    reader: &'static [(&'static str, &'static str)],
    /// Where the server tells of each request, if it does.
    log: PathBuf,
    /// It ends when this process does, since it reads from it.
    _server: Child,
}

impl Bucket {
    /// The gateway of a Ceph cluster, which is started once.
    pub fn ceph() -> &'static Self {
        static CEPH: OnceLock<Bucket> = OnceLock::new();
        CEPH.get_or_init(|| {
            let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ceph-{}", std::process::id()));
            let mut command = Command::new("bash");
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ceph/run")).arg(&state);
            let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash");
            let mut lines = BufReader::new(server.stdout.take().expect("stdout")).lines();
            let mut line = || lines.next().expect("the cluster is ready").expect("a line");
            let address = line().trim_start_matches("http://").to_owned();
            let (name, access_key, secret_key) = (line(), line(), line());
            let credentials = Credentials { access_key, secret_key };
            Bucket { address, name, credentials, reader: &[], log: state.join("gateway.log"), _server: server }
        })
    }

    /// moto's server, which lets in whoever comes.
    pub fn moto() -> &'static Self {
        static MOTO: OnceLock<Bucket> = OnceLock::new();
        MOTO.get_or_init(|| {
            // By itself it would outlive us.
            let until_we_end = "import os, runpy, sys, threading\n\
                threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()\n\
                sys.argv = sys.argv[1:]\n\
                runpy.run_path(sys.argv[0], run_name='__main__')";
            let program = setup::moto();
            let mut command = Command::new(program.with_file_name("python3"));
            command.args(["-u", "-c", until_we_end]).arg(&program).args(["--host", "127.0.0.1", "--port", "0"]);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut server = command.spawn().expect("python3");
            let mut lines = BufReader::new(server.stderr.take().expect("stderr")).lines().map_while(Result::ok);
            let running = lines.find_map(|line| line.split_once("Running on http://").map(|(_, rest)| rest.to_owned()));
            let address = running.expect("moto is ready");
            std::thread::spawn(move || lines.for_each(drop));
            let made = request(&address, "PUT", "/site", &[("content-length", "0")]);
            assert_eq!(made.status, 200, "{}", made.text());
            let credentials = Credentials { access_key: "id".to_owned(), secret_key: "secret".to_owned() };
            Bucket {
                address,
                name: "site".to_owned(),
                credentials,
                reader: SIGNED,
                log: PathBuf::new(),
                _server: server,
            }
        })
    }

    pub fn place(&'static self, prefix: impl Into<String>) -> Place {
        Place { bucket: self, prefix: prefix.into() }
    }
}

/// moto asks for a signature, and doesn't look at it.
const SIGNED: &[(&str, &str)] = &[(
    "authorization",
    "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
)];

/// A part of the bucket that is one test's own.
#[derive(Clone)]
pub struct Place {
    bucket: &'static Bucket,
    prefix: String,
}

impl Place {
    /// A site that is published here.
    pub fn site(&self) -> Site {
        Site::new().config(&self.config(self.address()))
    }

    /// What a site says that is published here by way of an address.
    pub fn config(&self, address: &str) -> String {
        let (name, prefix) = (&self.bucket.name, &self.prefix);
        format!("[env.production]\nasset_base = '/'\nstore = 's3://{name}/{prefix}'\nendpoint = 'http://{address}'\n")
    }

    pub fn address(&self) -> &'static str {
        &self.bucket.address
    }

    pub fn command(&self, site: &Site, arguments: &[&str]) -> Command {
        let mut command = site.command(arguments);
        let Credentials { access_key, secret_key } = &self.bucket.credentials;
        command.env("AWS_ACCESS_KEY_ID", access_key).env("AWS_SECRET_ACCESS_KEY", secret_key);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What a command reports, which has to succeed.
    pub fn json(&self, site: &Site, arguments: &[&str]) -> serde_json::Value {
        let run = Run::from(self.command(site, &[arguments, &["--json"]].concat()).output().expect("it runs"));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        serde_json::from_str(&run.stdout).expect("one JSON document")
    }

    /// An object as whoever reads it gets it.
    pub fn get(&self, key: &str) -> Response {
        let Bucket { address, name, reader, .. } = self.bucket;
        get(address, &format!("/{name}/{}/{key}", self.prefix), reader)
    }

    pub fn live(&self) -> Option<ReleaseId> {
        let pointer = self.get("current.json");
        let current = |body: &[u8]| serde_json::from_slice::<Current>(body).expect("a pointer").release;
        (pointer.status == 200).then(|| current(&pointer.body))
    }

    pub fn record(&self, release: &ReleaseId) -> Record {
        let record = self.get(&format!("releases/{release}.json"));
        assert_eq!(record.status, 200, "{release}: {}", record.text());
        serde_json::from_slice(&record.body).expect("a record")
    }

    /// Every object of the release is there, with the bytes and the headers that its record tells of.
    pub fn assert_whole(&self, release: &ReleaseId) {
        for (key, object) in self.record(release).objects {
            let stored = self.get(&key);
            assert_eq!(stored.status, 200, "{key}: {}", stored.text());
            assert_eq!((stored.body.len() as u64, Digest::of(&stored.body)), (object.length, object.digest), "{key}");
            for name in ["content-type", "cache-control", "content-encoding"] {
                assert_eq!(stored.header(name), object.headers.get(name).map(String::as_str), "{name} of {key}");
            }
        }
    }

    /// The library's own client of it.
    pub async fn store(&self) -> S3 {
        let Bucket { address, name, credentials, .. } = self.bucket;
        let endpoint = format!("http://{address}");
        S3::connect(name, &self.prefix, Some(&endpoint), None, Some(credentials.clone())).await
    }

    /// How many requests of the program for what is here the gateway has told of.
    pub fn requests(&self) -> usize {
        // The log is written a moment after the answer.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let Bucket { name, log, .. } = self.bucket;
        let log = std::fs::read_to_string(log).expect("the gateway's log");
        let of_key = format!("/{name}/{}/", self.prefix);
        let of_listing = format!("prefix={}%2F", self.prefix);
        let ours =
            |line: &&str| line.contains("aws-sdk-rust") && (line.contains(&of_key) || line.contains(&of_listing));
        log.lines().filter(ours).count()
    }
}

impl From<Output> for Run {
    fn from(out: Output) -> Self {
        Run {
            code: out.status.code(),
            stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        }
    }
}
