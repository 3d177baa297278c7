//! nginx as its manual would have it set up for files: no log, `sendfile`, open files remembered, a worker for each core of the servers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::setup::{Setup, Told};
use crate::bench::ground::Releases;
use crate::bench::process::{find, free_address};
use crate::bench::report::Missing;

/// Debian's package of it; without, nginx knows gzip alone.
const BROTLI: &str = "/usr/lib/nginx/modules/ngx_http_brotli_static_module.so";

/// Types that are worth compressing, beside HTML.
const TYPES: &str = "text/css text/javascript application/javascript application/json application/manifest+json image/svg+xml text/plain";

pub fn program() -> Result<PathBuf, Missing> {
    find("nginx").ok_or_else(|| Missing {
        reason: "nginx is not installed".to_owned(),
        remedy: "apt-get install nginx-light".to_owned(),
    })
}

/// Whether files are compressed before they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    Ahead,
    OnTheFly,
}

/// Serves a build's files.
pub async fn files(setup: &mut Setup<'_>, outs: &Releases, packed: Packed) -> Result<[SocketAddr; 2], Missing> {
    let mut servers = Vec::new();
    for (index, out) in outs.iter().enumerate() {
        let prefix = &setup.ground.manifest.prefix;
        let packing = match packed {
            Packed::Ahead => ahead(),
            Packed::OnTheFly => on_the_fly(),
        };
        let server = format!(
            "{packing}\n    server {{\n        listen ADDRESS backlog=4096;\n        root {out};\n        location / {{ try_files $uri $uri.html $uri/index.html =404; add_header Cache-Control no-cache; }}\n        \
             location /{prefix}/ {{ add_header Cache-Control 'public, max-age=31536000, immutable'; }}\n        location ~ /\\.(?!well-known) {{ deny all; }}\n    }}",
            out = out.display()
        );
        servers.push(start(setup, index, &server).await?);
        if index == 0 {
            setup.stored.push(out.clone());
        }
    }
    Ok([servers[0], servers[1]])
}

/// Serves an application's static files, and asks it for the rest.
pub async fn before(
    setup: &mut Setup<'_>,
    statics: Option<&Releases>,
    apps: [SocketAddr; 2],
) -> Result<[SocketAddr; 2], Missing> {
    let mut servers = Vec::new();
    for (index, app) in apps.iter().enumerate() {
        let files = statics.map_or_else(String::new, |folders| {
            format!(
                "        location /static/ {{ alias {}/; add_header Cache-Control 'no-cache'; }}\n",
                folders[index].display()
            )
        });
        let server = format!(
            "{packing}\n    upstream app {{ server {app}; keepalive 64; }}\n    server {{\n        listen ADDRESS backlog=4096;\n{files}        \
             location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $http_host; }}\n    }}",
            packing = on_the_fly()
        );
        servers.push(start(setup, index, &server).await?);
    }
    Ok([servers[0], servers[1]])
}

/// A caching edge before an origin, with a log of what its cache did. Its files are not kept open, so that one which is deleted is a miss; and a
/// browser takes no answer that allows all origins twice.
pub async fn edge(
    setup: &mut Setup<'_>,
    folder: &Path,
    address: SocketAddr,
    origin: SocketAddr,
    told: Told,
) -> Result<u32, Missing> {
    let program = program()?;
    let own = folder.display();
    let server = format!(
        "    log_format cache '$upstream_cache_status $upstream_bytes_received';\n    access_log {own}/access.log cache;\n    \
         proxy_cache_path {own}/cache keys_zone=edge:10m max_size=256m inactive=1d use_temp_path=off;\n    \
         upstream origin {{ server {origin}; keepalive 64; }}\n    server {{\n        listen {address} backlog=4096;\n        open_file_cache off;\n        location / {{\n            \
         proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $http_host;\n            \
         proxy_cache edge; proxy_cache_key $request_uri$http_accept_encoding;\n            \
         proxy_hide_header Access-Control-Allow-Origin; proxy_hide_header Timing-Allow-Origin;\n            \
         add_header Access-Control-Allow-Origin '*'; add_header Timing-Allow-Origin '*';\n        }}\n    }}"
    );
    // The log is the statistics here.
    let text = configuration(setup, folder, &server).replace("access_log off;", "");
    let config = setup.file(folder, "edge.conf", &text, told)?;
    setup.program("nginx", &program, "-v");
    let launch = setup.launch(&program, folder).args(["-p", ".", "-c"]).arg(config);
    setup.start(launch, address, told).await
}

async fn start(setup: &mut Setup<'_>, index: usize, server: &str) -> Result<SocketAddr, Missing> {
    let program = program()?;
    let told = if index == 0 { Told::Yes } else { Told::No };
    let folder = setup.folder(&format!("nginx-{}", index + 1))?;
    let address = free_address()?;
    let text = configuration(setup, &folder, &server.replace("ADDRESS", &address.to_string()));
    let config = setup.file(&folder, "nginx.conf", &text, told)?;
    setup.program("nginx", &program, "-v");
    let launch = setup.launch(&program, &folder).args(["-p", ".", "-c"]).arg(config);
    setup.start(launch, address, told).await?;
    Ok(address)
}

fn configuration(setup: &Setup<'_>, folder: &Path, http: &str) -> String {
    let own = folder.display();
    let load = if Path::new(BROTLI).exists() { format!("load_module {BROTLI};\n") } else { String::new() };
    // Workers that become another user may not read a temporary folder.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let types = match Path::new("/etc/nginx/mime.types").exists() {
        true => "include /etc/nginx/mime.types;".to_owned(),
        false => "types { text/html html; text/css css; text/javascript js; image/svg+xml svg; image/png png; image/jpeg jpg; font/woff2 woff2; image/webp webp; image/avif avif; }".to_owned(),
    };
    let workers = setup.ground.cores.count;
    format!(
        "{load}{user}worker_processes {workers};\ndaemon off;\npid {own}/pid;\nerror_log {own}/error.log;\n\
         events {{ worker_connections 8192; multi_accept on; }}\n\
         http {{\n    {types}\n    types_hash_max_size 2048;\n    access_log off;\n    sendfile on;\n    tcp_nopush on;\n    tcp_nodelay on;\n    \
         keepalive_requests 1000000000;\n    open_file_cache max=10000 inactive=1h;\n    open_file_cache_valid 1h;\n    open_file_cache_min_uses 1;\n    \
         client_body_temp_path {own}/body;\n    proxy_temp_path {own}/proxy;\n    fastcgi_temp_path {own}/fastcgi;\n    \
         uwsgi_temp_path {own}/uwsgi;\n    scgi_temp_path {own}/scgi;\n{http}\n}}\n"
    )
}

fn ahead() -> String {
    let brotli = if Path::new(BROTLI).exists() { " brotli_static on;" } else { "" };
    format!("    gzip_static on; gzip_vary on;{brotli}")
}

/// A level that is often advised: above it, time grows faster than files shrink.
fn on_the_fly() -> String {
    format!("    gzip on; gzip_vary on; gzip_proxied any; gzip_comp_level 5; gzip_min_length 256; gzip_types {TYPES};")
}
