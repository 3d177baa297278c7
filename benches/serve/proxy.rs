//! What a page of an application costs the server before it, with its asset URLs pointed at a CDN: beside nginx's `proxy_pass` with
//! `sub_filter`. The application is an nginx that sends the page from a file, on the core of who asks.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::load::{Ask, once, run};
use super::peers::{CLIENT, Ground, Protocol, Running, SERVER, free_port};
use super::site::text_of;

const NGINX: &str = "/usr/sbin/nginx";
const PAGE: &str = "/app.html";
const CDN: &str = "https://cdn.example.com/";

/// Of the page; each is of a stylesheet, a script or a picture.
const URLS: usize = 40;
const BYTES: usize = 30_000;

/// CPU µs of the server for each page, ours first, as medians; and each of nginx's.
pub fn measure(ground: &Ground<'_>, rounds: usize, seconds: u64) -> Result<(Vec<f64>, Vec<f64>), String> {
    let app = ground.scratch.join("app");
    fs::create_dir_all(&app).expect("a folder");
    fs::write(app.join("app.html"), page()).expect("a file");
    let application = application(ground, &app)?;
    let ask = Ask { path: PAGE.to_owned(), fields: vec![("accept-encoding", "identity".to_owned())] };
    let (ours, nginx) = (fingerpost(ground, &application)?, nginx(ground, &application)?);
    for server in [&ours, &nginx] {
        let answered = once(server, &ask).map_err(|error| error.to_string())?;
        // Nobody is measured at passing on what was to be rewritten.
        let longer = BYTES + URLS * (CDN.len() - 1);
        if answered.status != 200 || answered.length < longer {
            return Err(format!("{} bytes with status {}: not rewritten", answered.length, answered.status));
        }
    }
    let (mut of_ours, mut of_nginx) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        of_ours.push(run(&ours, Protocol::Http1, &ask, seconds)?);
        of_nginx.push(run(&nginx, Protocol::Http1, &ask, seconds)?);
    }
    Ok((of_ours, of_nginx))
}

/// Text in paragraphs, with asset URLs here and there as an application writes them.
fn page() -> String {
    let text = String::from_utf8(text_of(BYTES as u64)).expect("text");
    let mut html = String::from("<!doctype html><html><head><meta charset=utf-8><title>page</title>\n");
    let words: Vec<&str> = text.split_whitespace().collect();
    for (index, words) in words.chunks(words.len().div_ceil(URLS)).enumerate() {
        let url = ["a1k.jpg", "a10k.jpg", "a100k.jpg", "text.txt"][index % 4];
        let _ = match index % 4 {
            3 => writeln!(html, "<a class=\"link\" href=\"/static/{url}\">more</a>"),
            _ => writeln!(
                html,
                "<img class=\"picture\" alt=\"a picture\" src=\"/static/{url}\" width=\"100\" height=\"80\">"
            ),
        };
        let _ = writeln!(html, "<div><p class=\"text\">{}</p></div>", words.join(" "));
    }
    html
}

fn start(mut command: Command, port: u16) -> Result<Running, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running::start(command, port).ok_or_else(|| "it does not start".to_owned())
}

fn fingerpost(ground: &Ground<'_>, application: &Running) -> Result<Running, String> {
    let root = ground.scratch.join("proxy-site");
    fs::create_dir_all(&root).expect("a folder");
    fs::write(root.join("fingerpost.toml"), format!("[env.cdn]\nasset_base = \"{CDN}\"\nfailover = false\n"))
        .expect("a file");
    let port = free_port();
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", SERVER]).arg(ground.program).args(["serve", "--quiet", "--env", "cdn", "--root"]);
    command.arg(&root).arg("--out").arg(ground.out).args(["--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--upstream", &application.url("")]);
    start(command, port)
}

fn application(ground: &Ground<'_>, app: &Path) -> Result<Running, String> {
    let server = |port| format!("server {{ listen 127.0.0.1:{port} backlog=4096; root {}; }}", app.display());
    with_nginx(ground, "application", CLIENT, &server)
}

fn nginx(ground: &Ground<'_>, application: &Running) -> Result<Running, String> {
    let server = |port| {
        format!(
            "upstream app {{ server {}; keepalive 64; keepalive_requests 1000000000; }}\n\
             server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://app; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_set_header Host $host; proxy_set_header Accept-Encoding \"\";\n\
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;\n\
             proxy_buffers 16 16k; sub_filter_once off; sub_filter '\"/static/' '\"{CDN}static/'; }} }}",
            application.address()
        )
    };
    with_nginx(ground, "proxy", SERVER, &server)
}

fn with_nginx(ground: &Ground<'_>, name: &str, core: &str, server: &dyn Fn(u16) -> String) -> Result<Running, String> {
    if !Path::new(NGINX).exists() {
        return Err("`apt-get install nginx`".to_owned());
    }
    let (port, folder) = (free_port(), ground.scratch.join(name));
    fs::create_dir_all(&folder).expect("a folder");
    let own = folder.display();
    let config = format!(
        "worker_processes 1; daemon off; pid {own}/pid; error_log {own}/error.log;\nevents {{ worker_connections 20000; }}\n\
         http {{\n include /etc/nginx/mime.types; access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000;\n\
         client_body_temp_path {own}/body; proxy_temp_path {own}/temporary; fastcgi_temp_path {own}/fastcgi;\n\
         uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;\n{}\n}}\n",
        server(port)
    );
    fs::write(folder.join("nginx.conf"), config).expect("a file");
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", core, NGINX, "-c"]).arg(folder.join("nginx.conf"));
    start(command, port)
}
