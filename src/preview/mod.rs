//! The whole way on one machine: a build is published into a bucket, a CDN serves that bucket on one port, and the site is
//! served on another, its pages pointing at the CDN. No account and no other program is needed.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::environment::{Environment, StoreUrl};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::publish::s3::Credentials;
use crate::publish::{self, Build, Report, S3};
use crate::serve::{Handle, Handler, Server, Signal, Signals, Table};

pub mod bucket;
mod edge;

use bucket::Bucket;

/// Where the site listens when nobody says; a free port is taken if another program has it.
const LISTEN: &str = "127.0.0.1:8080";

/// What to show.
#[derive(Debug, Clone)]
pub struct Options {
    /// The output folder of a build.
    pub out: PathBuf,
    /// Its assets, store and endpoint are replaced by the preview's own.
    pub environment: Environment,
    /// `HOST:PORT` of the site.
    pub listen: Option<String>,
}

/// What happens, for people to know.
#[derive(Debug)]
pub enum Event {
    Published(Box<Report>),
    Listening { site: SocketAddr, cdn: SocketAddr },
    Stopping,
}

/// Publishes the build into a bucket of its own and serves it, until it is told to stop. The bucket goes with it.
pub async fn run(options: Options, progress: &dyn Progress, observer: impl Fn(Event)) -> Result<()> {
    let manifest = Manifest::load(&options.out)?;
    let site = bind_site(options.listen.as_deref()).await?;
    let cdn = Server::bind("127.0.0.1:0").await?;

    let folder = tempfile::tempdir().map_err(Error::io("create a folder in", std::env::temp_dir()))?;
    let bucket = Bucket::start(folder.path()).await?;
    let mut environment = options.environment.clone();
    environment.asset_base = format!("http://{}/", cdn.local_addr())
        .parse()
        .map_err(|message| Error::Usage { message, help: "listen on an address that can stand in a URL".to_owned() })?;
    environment.store = Some(StoreUrl::S3 { bucket: bucket.name.clone(), prefix: "site".to_owned() });
    environment.endpoint = Some(bucket.endpoint.clone());
    // Nothing before the real site changes.
    environment.cdn = None;

    let credentials = Credentials { access_key: bucket.access_key.clone(), secret_key: bucket.secret_key.clone() };
    let store = S3::connect(&bucket.name, "site", Some(&bucket.endpoint), None, Some(credentials)).await;
    let build = Build { out: &options.out, manifest: &manifest, environment: &environment };
    let report = publish::publish_to(&store, build, publish::Options::default(), progress).await?;
    observer(Event::Published(Box::new(report)));

    let assets = edge::table(&store).await?;
    let (out, bound) = (options.out.clone(), environment.clone());
    let pages = tokio::task::spawn_blocking(move || Table::load(&out, &bound)).await;
    let pages = pages.unwrap_or_else(|error| Err(Error::Manifest { path: options.out, reason: error.to_string() }))?;

    let mut signals = Signals::install()?;
    observer(Event::Listening { site: site.local_addr(), cdn: cdn.local_addr() });
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let wait = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let signal = async {
        while signals.next().await == Signal::Reload {}
        observer(Event::Stopping);
        let _ = stop.send(true);
    };
    let edge = edge::service(Handler::new(Handle::new(assets)));
    let origin = Handler::new(Handle::new(pages));
    tokio::join!(site.run(|_| origin.clone(), wait(stopped.clone())), cdn.run(|_| edge.clone(), wait(stopped)), signal);
    Ok(())
}

async fn bind_site(listen: Option<&str>) -> Result<Server> {
    match (listen, Server::bind(listen.unwrap_or(LISTEN)).await) {
        (None, Err(Error::Listen { source, .. })) if source.kind() == std::io::ErrorKind::AddrInUse => {
            Server::bind("127.0.0.1:0").await
        }
        (_, server) => server,
    }
}
