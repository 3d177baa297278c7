//! Where credentials for a bucket come from: web identity, a role to assume, a container, a machine. Each against a server on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use fingerpost::preview::bucket::Bucket;
use libtest_mimic::Trial;

use crate::site::{Run, Site};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        a_web_identity_becomes_a_role,
        a_profile_assumes_a_role,
        a_container_and_a_machine_give_credentials,
        a_role_that_is_refused_is_told,
        what_needs_a_feature_says_so,
    ]
}

/// A bucket, in a runtime of its own.
struct Store {
    bucket: Bucket,
    _folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Store {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let bucket = runtime.block_on(Bucket::start(folder.path())).expect("a bucket");
        Store { bucket, _folder: folder, _runtime: runtime }
    }

    /// A site that is built, and published to the bucket.
    fn site(&self) -> Site {
        let (name, endpoint) = (&self.bucket.name, &self.bucket.endpoint);
        let site = Site::new()
            .config(&format!("[env.production]\nstore = 's3://{name}'\nendpoint = '{endpoint}'\n"))
            .file("token", "the.web.identity")
            .asset("a.txt", "a");
        site.build(&[]);
        site
    }

    /// As `AssumeRole` and `AssumeRoleWithWebIdentity` answer.
    fn role(&self) -> impl Fn(&str) -> (u16, String) + Send + use<> {
        let Bucket { access_key, secret_key, .. } = &self.bucket;
        let credentials = format!(
            "<Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{secret_key}</SecretAccessKey>\
             <SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
             <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/x/y</Arn><AssumedRoleId>A:y</AssumedRoleId></AssumedRoleUser>"
        );
        move |request: &str| {
            let action = if request.contains("WebIdentity") { "AssumeRoleWithWebIdentity" } else { "AssumeRole" };
            let answer = format!("<{action}Response><{action}Result>{credentials}</{action}Result></{action}Response>");
            (200, answer)
        }
    }

    /// As a container's and a machine's endpoints answer.
    fn document(&self) -> String {
        let Bucket { access_key, secret_key, .. } = &self.bucket;
        serde_json::json!({
            "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": access_key, "SecretAccessKey": secret_key,
            "Token": "session", "Expiration": "2099-01-01T00:00:00Z", "LastUpdated": "2026-01-01T00:00:00Z"
        })
        .to_string()
    }
}

/// Answers each request by its first line and body.
struct Answers {
    address: String,
    /// Requests with their heads and bodies.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Answers {
    fn start(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
                let (mut request, mut length) = (String::new(), 0);
                while reader.read_line(&mut request).is_ok_and(|read| read > 2) {
                    let line = request.lines().last().unwrap_or_default().to_ascii_lowercase();
                    if let Some(value) = line.strip_prefix("content-length:") {
                        length = value.trim().parse().expect("a length");
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                request.push_str(&String::from_utf8_lossy(&body));
                let (status, text) = answer(&request);
                told.lock().expect("the list").push(request);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nx-aws-ec2-metadata-token-ttl-seconds: 600\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    text.len()
                );
                let _ = stream.write_all((head + &text).as_bytes());
            }
        });
        Answers { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("the list").clone()
    }
}

/// Publishes with these variables, and nothing else of this machine's that has to do with AWS.
fn publish(site: &Site, variables: &[(&str, &str)]) -> Run {
    let mut command = site.command(&["publish"]);
    let none = site.root().join("none");
    command.env("HOME", site.root()).env("AWS_CONFIG_FILE", &none).env("AWS_SHARED_CREDENTIALS_FILE", &none);
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_REGION", "eu-central-1");
    let out = command.envs(variables.iter().copied()).output().expect("it runs");
    Run {
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

fn a_web_identity_becomes_a_role() {
    let store = Store::start();
    let site = store.site();
    let sts = Answers::start(store.role());
    let token = site.root().join("token");
    let run = publish(
        &site,
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().expect("a path")),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/site"),
            ("AWS_ROLE_SESSION_NAME", "pipeline"),
            ("AWS_ENDPOINT_URL_STS", &sts.address),
        ],
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let seen = sts.seen();
    assert_eq!(seen.len(), 1, "to find out whether it works, and for all requests: {seen:#?}");
    for part in [
        "Action=AssumeRoleWithWebIdentity",
        "WebIdentityToken=the.web.identity",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fsite",
        "RoleSessionName=pipeline",
    ] {
        assert!(seen[0].contains(part), "{part}: {seen:#?}");
    }
}

fn a_profile_assumes_a_role() {
    let store = Store::start();
    let site = store.site().file(
        "config",
        "[profile deploy]\nrole_arn = arn:aws:iam::123456789012:role/site\nsource_profile = base\n\
         [profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = secret\n",
    );
    let sts = Answers::start(store.role());
    let config = site.root().join("config");
    let run = publish(
        &site,
        &[
            ("AWS_CONFIG_FILE", config.to_str().expect("a path")),
            ("AWS_PROFILE", "deploy"),
            ("AWS_ENDPOINT_URL_STS", &sts.address),
        ],
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let seen = sts.seen();
    assert!(seen[0].contains("Action=AssumeRole&") && seen[0].contains("Credential=AKIDBASE/"), "{seen:#?}");
}

fn a_container_and_a_machine_give_credentials() {
    let store = Store::start();
    let site = store.site();
    let document = store.document();
    let container = Answers::start(move |_| (200, document.clone()));
    let url = format!("{}/credentials", container.address);
    let run = publish(
        &site,
        &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer of.it")],
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        container.seen()[0].to_ascii_lowercase().contains("authorization: bearer of.it"),
        "{:#?}",
        container.seen()
    );

    let document = store.document();
    let machine = Answers::start(move |request| {
        (
            200,
            match request {
                _ if request.starts_with("PUT /latest/api/token") => "token".to_owned(),
                _ if request.contains("/the-role ") => document.clone(),
                _ => "the-role".to_owned(),
            },
        )
    });
    let run = publish(
        &site,
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &machine.address), ("AWS_EC2_METADATA_DISABLED", "false")],
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(machine.seen().iter().any(|request| request.contains("/the-role ")));
}

fn a_role_that_is_refused_is_told() {
    let store = Store::start();
    let site = store.site();
    let sts = Answers::start(|_| {
        let error = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform \
                     sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>";
        (403, error.to_owned())
    });
    let token = site.root().join("token");
    let with = |token: &str| {
        publish(
            &site,
            &[
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token),
                ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/site"),
                ("AWS_ENDPOINT_URL_STS", &sts.address),
            ],
        )
    };
    let run = with(token.to_str().expect("a path"));
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    let text = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("sts:AssumeRoleWithWebIdentity"), "{text}");
    assert!(text.contains("the role's trust policy"), "{text}");
    let run = with("no/such/token");
    assert_eq!(run.code, Some(4), "{}", run.stderr);
}

fn what_needs_a_feature_says_so() {
    let store = Store::start();
    let site = store.site().file("config", "[profile deploy]\ncredential_process = /bin/true\n");
    let config = site.root().join("config");
    let run = publish(&site, &[("AWS_CONFIG_FILE", config.to_str().expect("a path")), ("AWS_PROFILE", "deploy")]);
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    let text = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("--features credential-process"), "{text}");
}
