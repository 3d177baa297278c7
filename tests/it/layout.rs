//! The layout's rules: who may import whom, and where each foreign crate lives. The crate's docs give the reasons.

use std::collections::BTreeMap;
use std::path::Path;

use libtest_mimic::Trial;

use crate::site::tree;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials![
        modules_import_only_what_they_may,
        each_foreign_crate_has_one_home,
        the_library_does_not_print,
        nothing_panics_on_purpose
    ]
}

const NOUNS: [&str; 13] = [
    "asset",
    "client",
    "date",
    "encoding",
    "environment",
    "error",
    "fingerprint",
    "fs",
    "html",
    "manifest",
    "progress",
    "release",
    "scaffold",
];

/// Each source file by its path below `src`, without its tests.
fn sources() -> BTreeMap<String, String> {
    let files = tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let rust = files.into_iter().filter(|(path, _)| path.ends_with(".rs"));
    rust.map(|(path, bytes)| {
        let text = String::from_utf8(bytes).expect("UTF-8");
        // Tests stand at a file's end: a module that only they compile, with a body or in a file of its own.
        let test_only = |at: usize| {
            let mut lines = text[at..].lines();
            let attribute = lines.next().is_some_and(|line| line.contains("test"));
            attribute && lines.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
        };
        let end = text.match_indices("#[cfg(").find(|(at, _)| test_only(*at));
        let code = end.map_or(text.as_str(), |(at, _)| &text[..at]).to_owned();
        (path, code)
    })
    .filter(|(path, _)| !is_fixture(path))
    .collect()
}

/// Files that only tests compile.
fn is_fixture(path: &str) -> bool {
    matches!(
        path,
        "bench/load/tests.rs"
            | "bench/netem/proof.rs"
            | "bench/show/sample.rs"
            | "bench/show/tests.rs"
            | "bench/summary/tests.rs"
            | "html/scanner/proof.rs"
            | "serve/connection/proof.rs"
            | "serve/fixture.rs"
            | "serve/model.rs"
            | "serve/upstream/proof.rs"
            | "publish/purge/fixture.rs"
            | "publish/site.rs"
            | "publish/storms.rs"
    ) || path.starts_with("serve/upstream/proof/")
}

fn module(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

fn modules_import_only_what_they_may() {
    for (path, code) in sources() {
        let own = module(&path);
        let allowed: Vec<&str> = match own {
            "lib" | "main" | "cli" => continue,
            "build" | "page" => [&NOUNS[..], &["config"]].concat(),
            "publish" | "serve" => [&NOUNS[..], &["config", "page"]].concat(),
            "check" => [&NOUNS[..], &["config", "build", "page"]].concat(),
            "dev" => [&NOUNS[..], &["config", "build", "serve"]].concat(),
            "export" => [&NOUNS[..], &["serve"]].concat(),
            "follow" => [&NOUNS[..], &["publish", "serve"]].concat(),
            "preview" => [&NOUNS[..], &["config", "build", "page", "publish", "serve"]].concat(),
            "bench" => [&NOUNS[..], &["config", "build", "page", "publish", "preview", "serve"]].concat(),
            "config" => NOUNS.to_vec(),
            noun => {
                assert!(NOUNS.contains(&noun), "{path}: a new module; give it its place in the layout");
                NOUNS.to_vec()
            }
        };
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(!name.is_empty(), "{path}: import modules one by one, for this test to see them");
            assert!(name == own || allowed.contains(&name.as_str()), "{path} imports {name}");
        }
    }
}

fn each_foreign_crate_has_one_home() {
    let homes = [
        ("aws_config", vec!["publish/s3.rs", "publish/purge/cloudfront.rs"]),
        ("aws_credential_types", vec!["publish/s3/found.rs"]),
        ("aws_runtime", vec!["publish/s3/signing.rs"]),
        ("aws_sdk_cloudfront", vec!["publish/purge/cloudfront.rs"]),
        ("aws_sdk_s3", vec!["publish/s3.rs", "publish/s3/"]),
        ("aws_sigv4", vec!["publish/s3/direct.rs"]),
        ("aws_smithy", vec!["publish/s3.rs", "publish/s3/direct.rs", "publish/s3/transport.rs"]),
        ("clap", vec!["cli/"]),
        ("comfy_table", vec!["cli/terminal.rs"]),
        ("encoding_rs", vec!["html/parser.rs", "html/scanner/charset.rs", "html/scanner/tag.rs"]),
        ("flate2", vec!["encoding.rs"]),
        ("hyper_rustls", vec!["client.rs", "serve/upstream/origin.rs"]),
        ("hdrhistogram", vec!["bench/load/"]),
        ("plotters", vec!["bench/show/chart.rs"]),
        ("imagesize", vec!["build/transform/image.rs"]),
        ("indicatif", vec!["cli/terminal.rs"]),
        ("codemap", vec!["build/transform/sass.rs"]),
        ("grass", vec!["build/transform/sass.rs"]),
        ("lightningcss", vec!["build/transform/css.rs", "build/transform/css/"]),
        ("parcel_sourcemap", vec!["build/transform/css/"]),
        ("lol_html", vec!["html.rs", "html/head.rs", "html/parser.rs", "html/tags.rs"]),
        ("mime_guess", vec!["asset.rs"]),
        ("minify_html", vec!["build/transform/html.rs"]),
        ("minijinja", vec!["bench/show/html.rs", "build/template.rs"]),
        ("notify::", vec!["dev/watch.rs"]),
        ("oxc::", vec!["build/transform/"]),
        ("oxipng", vec!["build/transform/image.rs"]),
        ("prometheus_client", vec!["serve/metrics.rs"]),
        ("rcgen::", vec!["dev/certificate.rs"]),
        ("rolldown", vec!["build/transform/module.rs", "build/transform/module/"]),
        ("rustls::", vec!["serve/tls.rs"]),
        ("rustls_native_certs", vec!["client.rs", "serve/failover.rs"]),
        ("s3s", vec!["preview/bucket.rs"]),
        ("sd_notify", vec!["serve/system.rs"]),
        ("sha2::", vec!["fingerprint.rs"]),
        (
            "tokio_rustls",
            vec!["bench/load/", "client.rs", "serve/connection/transport.rs", "serve/failover.rs", "serve/tls.rs"],
        ),
        ("toml::", vec!["config/file.rs"]),
        ("tracing_subscriber", vec!["cli/trace.rs"]),
        (
            "walkdir",
            vec!["build/discover.rs", "build/transform/module/glob.rs", "check.rs", "dev/poll.rs", "publish/folder.rs"],
        ),
        ("zstd::", vec!["encoding.rs", "publish/archive.rs"]),
    ];
    for (path, code) in sources() {
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (name, home) in &homes {
                // In a path (`name::`) or an import (`use name…`); not in a word that holds it.
                let used = line.match_indices(name).any(|(at, _)| {
                    !line[..at]
                        .ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '"' | '.' | '/' | ':'))
                        && (line[at..].contains("::") || line.trim_start().starts_with("use "))
                });
                assert!(!used || home.iter().any(|home| path.starts_with(home)), "{path} names {name}: {line}");
            }
        }
    }
}

fn the_library_does_not_print() {
    for (path, code) in sources() {
        for word in ["println!", "eprintln!", "print!(", "dbg!", "io::stdout()", "io::stderr()"] {
            assert!(!code.contains(word) || path.starts_with("cli/"), "{path}: {word}");
        }
    }
}

fn nothing_panics_on_purpose() {
    for (path, code) in sources() {
        for word in [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!("] {
            let found = code.lines().find(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            assert_eq!(found, None, "{path}");
        }
    }
}
