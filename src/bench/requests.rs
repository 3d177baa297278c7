//! What one first visit asks a strategy's servers for: the requests of its load.

use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt;

use super::Warnings;
use super::browser::Browser;
use super::ground::Ground;
use super::lineup::{Entrant, Lineup};
use super::load::{Ask, Origin, Reached, Server};
use super::report::{From, Missing, Network};
use super::stand::{Place, Release, Stand};
use crate::client::Client;
use crate::html::{self, Editor, Link};
use crate::progress::Progress;

/// Nothing in between.
const HERE: Network = Network { name: String::new(), round_trip_ms: 0.0, down: 0, up: 0 };

/// Finds out for each entrant, by a visit that also shows whether it works at all.
pub async fn find(
    ground: &Ground,
    lineup: &mut Lineup,
    mut browser: Option<&mut Browser>,
    progress: &dyn Progress,
    warnings: &mut Warnings,
) {
    progress.stage("warm up", lineup.entrants.len());
    for entrant in &mut lineup.entrants {
        progress.at(&entrant.measured.name);
        let Some(running) = &entrant.running else { continue };
        let urls = match (running.stand.set(&Place::new(&HERE, 0, 0.0), Release::First).await, &mut browser) {
            (Err(reason), _) => Err(reason),
            (Ok(()), Some(browser)) => by_visit(browser, &running.stand.page).await,
            (Ok(()), None) => by_reading(&ground.manifest.prefix, &running.stand.page).await,
        };
        match urls {
            Ok(urls) => take(entrant, urls, ground.allow_remote, warnings).await,
            Err(reason) => {
                entrant.running = None;
                entrant.measured.missing =
                    Some(Missing { reason, remedy: "open the page by hand to see what it lacks".to_owned() });
            }
        }
        progress.step();
    }
}

async fn take(entrant: &mut Entrant, urls: Vec<(String, u16)>, allow_remote: bool, warnings: &mut Warnings) {
    let Some(running) = &entrant.running else { return };
    let name = &entrant.measured.name;
    let mut servers = Servers::of(&running.stand, allow_remote);
    let page = Origin::of(&running.stand.page);
    for Reached { origin, .. } in &running.stand.reached {
        warnings.add(format!(
            "`{name}`: visitors go to `{}` directly, not over the networks that others are visited over",
            origin.host
        ));
    }
    for (url, status) in urls {
        let (Ok(uri), Some(origin)) = (url.parse::<http::Uri>(), Origin::of(&url)) else { continue };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if status >= 400 {
            warnings.add(format!("`{name}` answers `{path}` with {status}"));
        }
        match servers.at(&origin).await {
            Ok(server) => {
                let of_page = page.as_ref() == Some(&origin);
                entrant.asks.push(Ask { of_page, ..Ask::get(server, &host(&uri), path) });
                entrant.paths.push(path.to_owned());
            }
            Err(why) => warnings.add(format!("`{name}`: `{url}` is no part of the load: {why}")),
        }
    }
}

/// As the header field has it (RFC 9110 section 7.2).
fn host(uri: &http::Uri) -> String {
    let host = uri.host().unwrap_or_default();
    uri.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Who gets load: the strategy's own servers, and the hosts that the user has named.
struct Servers<'s> {
    stand: &'s Stand,
    allow_remote: bool,
    known: Vec<(Origin, Result<Arc<Server>, String>)>,
}

impl<'s> Servers<'s> {
    fn of(stand: &'s Stand, allow_remote: bool) -> Self {
        let known = stand.reached.iter().map(|reached| (reached.origin.clone(), Ok(reached.server.clone())));
        Servers { stand, allow_remote, known: known.collect() }
    }

    /// Each is found once: who answers for a name doesn't change while it is measured.
    async fn at(&mut self, origin: &Origin) -> Result<Arc<Server>, String> {
        if let Some((_, found)) = self.known.iter().find(|(known, _)| known == origin) {
            return found.clone();
        }
        let found = match self.stand.behind(origin) {
            Some(address) => Ok(Arc::new(Server::plain(address))),
            None if self.stand.reached.iter().any(|reached| reached.origin.host == origin.host) => {
                let reached = origin.reach(self.allow_remote).await;
                reached
                    .map(|reached| reached.server)
                    .map_err(|missing| format!("{} ({})", missing.reason, missing.remedy))
            }
            None => Err("it is of another host, which nobody has let it be put on".to_owned()),
        };
        self.known.push((origin.clone(), found.clone()));
        found
    }
}

async fn by_visit(browser: &mut Browser, page: &str) -> Result<Vec<(String, u16)>, String> {
    let mut visitor = browser.visitor().await?;
    let seen = visitor.visit(browser, page).await;
    browser.leave(visitor).await?;
    let seen = seen?;
    match seen.fetches.first() {
        Some(fetch) if (200..300).contains(&fetch.status) => {}
        Some(fetch) => return Err(format!("`{}` answers with {}", fetch.url, fetch.status)),
        None => return Err(format!("`{page}` is not fetched")),
    }
    let fetches = seen.fetches.into_iter().filter(|fetch| fetch.from == From::Network && fetch.status > 0);
    Ok(fetches.map(|fetch| (fetch.url, fetch.status)).collect())
}

/// Without a browser: the page, and what it names of the build.
async fn by_reading(prefix: &str, page: &str) -> Result<Vec<(String, u16)>, String> {
    let client = Client::new().map_err(|error| error.to_string())?;
    let request = Request::get(page).body(bytes::Bytes::new()).map_err(|error| error.to_string())?;
    let response = client.send(request).await.map_err(|error| crate::client::reason(&error))?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    let mut named = Named { prefixes: [format!("/{prefix}/"), "/static/".to_owned()], urls: Vec::new() };
    html::edit(page, &text, &mut named).map_err(|error| error.to_string())?;
    let base: http::Uri = page.parse().map_err(|_| format!("`{page}` is no URL"))?;
    let origin = format!("{}://{}", base.scheme_str().unwrap_or("http"), host(&base));
    let absolute = |url: String| if url.starts_with('/') { format!("{origin}{url}") } else { url };
    let assets = named.urls.into_iter().map(|url| (absolute(url), 200));
    Ok(std::iter::once((page.to_owned(), status)).chain(assets).collect())
}

/// Notes each file of the build once.
struct Named {
    prefixes: [String; 2],
    urls: Vec<String>,
}

impl Editor for Named {
    fn url(&mut self, place: html::Place, url: &str) -> Option<Link> {
        let is_fetched = matches!(
            place,
            html::Place::Script { .. } | html::Place::Stylesheet | html::Place::Preload | html::Place::Other
        );
        let is_built = self.prefixes.iter().any(|prefix| url.contains(prefix.as_str()));
        if is_fetched && is_built && !url.starts_with("//") && !self.urls.iter().any(|known| known == url) {
            self.urls.push(url.to_owned());
        }
        None
    }
}
