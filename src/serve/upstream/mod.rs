//! The application behind the server: what is in no table is asked of it, and its pages are bound to the environment on their way out.
//!
//! [`Gateway`] is the service: it answers from the table what is there, and passes on the rest. A request goes to one address, whatever
//! it names, so that nobody is led elsewhere; it is written anew from what was understood of it, so that nobody behind understands it
//! otherwise (RFC 9112 section 11.2).

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderValue, RANGE, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, UPGRADE,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};

mod breaker;
mod conversion;
pub(super) mod fields;
mod gateway;
mod origin;
mod pool;
#[cfg(test)]
mod proof;
mod reply;
mod transfer;
mod validators;

use breaker::Breaker;
use fields::Via;
use origin::Connections;
use pool::{Cause, Unanswered};
use reply::Exchange;
use transfer::{Download, Pulse, Silent, Upload};

use super::asked::Asked;
use super::body::Body;
use super::client::Client;
use super::handler::{WithHsts, error_page};
use super::loops;
use super::negotiate::Accepted;
use super::peer::Peer;
use super::table::Table;
use super::tunnel::Switch;
use crate::client::reason;
use crate::config::{self, UpstreamHost};
use crate::error::Result;

pub use gateway::Gateway;

/// An application, and how it fares.
#[derive(Debug)]
pub struct Upstream {
    connections: Connections,
    breaker: Breaker,
    settings: config::Upstream,
    /// What this server calls itself to others, if that can stand in a field.
    pseudonym: Option<(HeaderValue, Via)>,
}

/// Whom a request comes from, and what it is answered with as far as that is known.
#[derive(Debug)]
struct Visit {
    table: Arc<Table>,
    client: Client,
    peer: Option<Peer>,
    /// Whether the peer is a proxy that is believed.
    is_trusted: bool,
}

/// Why an application has not answered.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no connection: {}", reason(&**.0))]
    Connect(Cause),
    #[error("no answer: {}", reason(&**.0))]
    Broken(Cause),
    #[error("no answer in time")]
    Silent,
    #[error("the client's request was cut short")]
    Client,
    #[error("the client's request came no further")]
    ClientSilent,
    #[error("the request can't be written: {0}")]
    Request(#[from] http::Error),
    #[error("it has failed too often just now")]
    Open(Duration),
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Failure::Connect(_) | Failure::Broken(_) => StatusCode::BAD_GATEWAY,
            Failure::Silent => StatusCode::GATEWAY_TIMEOUT,
            Failure::Client | Failure::Request(_) => StatusCode::BAD_REQUEST,
            Failure::ClientSilent => StatusCode::REQUEST_TIMEOUT,
            Failure::Open(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether another attempt may go better. Not after a long wait: who waits has waited for long enough.
    fn is_passing(&self) -> bool {
        matches!(self, Failure::Connect(_) | Failure::Broken(_))
    }
}

impl Upstream {
    pub fn new(settings: config::Upstream, pseudonym: &str) -> Result<Self> {
        let connections = Connections::new(&settings.origin, settings.host, settings.connect_timeout)?;
        let pseudonym = HeaderValue::try_from(pseudonym).ok().zip(Via::new(pseudonym));
        Ok(Upstream { connections, breaker: Breaker::default(), settings, pseudonym })
    }

    /// Passes a request on, and its answer back.
    async fn forward(self: Arc<Self>, request: Request<Incoming>, visit: Visit) -> Response<Body> {
        let (mut response, hsts) = match self.answer(request, &visit).await {
            Ok(response) => (response, visit.table.hsts()),
            Err(failure) => refuse(&failure, &visit.table),
        };
        // RFC 6797 section 7.2: in the clear it must not be sent.
        if visit.client.is_secure
            && let Some(hsts) = hsts
            && !response.headers().contains_key(STRICT_TRANSPORT_SECURITY)
        {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        response
    }

    async fn answer(&self, request: Request<Incoming>, visit: &Visit) -> Result<Response<Body>, Failure> {
        let (mut parts, body) = request.into_parts();
        let switch = parts.extensions.remove::<Switch>();
        let upgrade = fields::upgrade(&parts.headers).filter(|_| switch.is_some());
        let accepted = Accepted::of(&Asked::of(&parts.headers));
        let own_host = super::client::host(&parts.uri, &parts.headers).map(str::to_owned);
        let host = visit.client.host.clone().or_else(|| own_host.clone());
        let binder = visit.table.binder().filter(|_| self.settings.rewrite);
        let is_marked = binder.is_some_and(|binder| validators::restore(&mut parts.headers, binder.mark()));
        let peer = visit.peer.map(|peer| peer.address.ip().to_canonical());
        fields::end_of_hop(&mut parts.headers);
        fields::add_forwarded(&mut parts.headers, host.as_deref(), &visit.client, peer, visit.is_trusted);
        self.prepare(&mut parts, own_host, accepted, upgrade.as_ref())?;

        let pulse = Pulse::new();
        let mut response = self.ask(&parts, Upload::new(Some(body), &pulse), &pulse).await?;
        // A part of a page as it was is no part of it as it is sent.
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT && parts.method == Method::GET;
        if is_part && reply::is_page(response.headers()) && binder.is_some() {
            parts.headers.remove(RANGE);
            response = self.ask(&parts, Upload::new(None, &pulse), &pulse).await?;
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(response, upgrade.zip(switch));
        }
        let exchange = Exchange {
            method: &parts.method,
            host: host.as_deref(),
            path: parts.uri.path(),
            headers: &parts.headers,
            accepted,
            is_marked,
        };
        let version = response.version();
        fields::end_of_hop(response.headers_mut());
        self.sign(response.headers_mut(), version);
        Ok(reply::of(response, &exchange, binder, &self.settings))
    }

    /// Says that a message has been here.
    fn sign(&self, headers: &mut HeaderMap, version: Version) {
        if let Some((_, via)) = &self.pseudonym {
            via.add(headers, version);
        }
    }

    /// Makes of a request what is sent.
    fn prepare(
        &self,
        parts: &mut Parts,
        host: Option<String>,
        accepted: Accepted,
        upgrade: Option<&HeaderValue>,
    ) -> Result<(), Failure> {
        // hyper asks for the body once the application reads it.
        parts.headers.remove(EXPECT);
        self.sign(&mut parts.headers, parts.version);
        if let Some((name, _)) = &self.pseudonym {
            loops::append(&mut parts.headers, name.clone());
        }
        let host = host.filter(|_| self.settings.host == UpstreamHost::Client);
        let host = host.as_deref().unwrap_or(self.connections.authority.as_str());
        let is_there = parts.headers.get_all(HOST).iter().eq([host]);
        if self.connections.is_h2c {
            // `:authority` is the application's own, and a request for two hosts is malformed (RFC 9113 section 8.3.1).
            parts.headers.remove(HOST);
        } else if !is_there && let Ok(host) = HeaderValue::try_from(host) {
            parts.headers.insert(HOST, host);
        }
        if let Some(protocol) = upgrade {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            parts.headers.insert(UPGRADE, protocol.clone());
        }
        if self.settings.rewrite {
            reply::restrict_codings(&mut parts.headers, accepted);
        }
        parts.uri = self.connections.uri(&parts.uri)?;
        parts.version = Version::HTTP_11;
        Ok(())
    }

    /// Sends a request, again if it may be and that may help.
    async fn ask(&self, parts: &Parts, body: Upload, pulse: &Pulse) -> Result<Response<Download>, Failure> {
        // RFC 9110 section 9.2.2. What has a body is read from the client once.
        let may_repeat = parts.method.is_idempotent() && body.is_end_stream();
        let mut left = if may_repeat { self.settings.retries } else { 0 };
        let mut body = Some(body);
        loop {
            let body = body.take().unwrap_or_else(|| Upload::new(None, pulse));
            match self.ask_once(parts, body, pulse).await {
                Err(failure) if left > 0 && failure.is_passing() => left -= 1,
                asked => return asked,
            }
        }
    }

    async fn ask_once(&self, parts: &Parts, body: Upload, pulse: &Pulse) -> Result<Response<Download>, Failure> {
        let leave = self.breaker.ask(Instant::now()).map_err(Failure::Open)?;
        let sending = self.connections.send(Request::from_parts(parts.clone(), body));
        let sent = pulse.unless_silent(self.settings.timeout, sending).await;
        let failure = match sent {
            Ok(Ok(response)) => {
                if leave.answered() {
                    tracing::info!("the application answers again");
                }
                return Ok(response);
            }
            Ok(Err(Unanswered::Connect(cause))) => Failure::Connect(cause),
            Ok(Err(Unanswered::Broken(cause))) if transfer::is_clients_fault(&*cause) => Failure::Client,
            Ok(Err(Unanswered::Broken(cause))) => Failure::Broken(cause),
            Err(Silent::Client) => Failure::ClientSilent,
            Err(Silent::Application) => Failure::Silent,
        };
        if !matches!(failure, Failure::Client | Failure::ClientSilent) {
            tracing::warn!(%failure, uri = %parts.uri, "the application failed");
            if leave.failed(Instant::now()) {
                tracing::error!("the application failed too often, and is left alone for a while");
            }
        }
        Err(failure)
    }

    /// Lets a connection become what both sides have agreed on (RFC 9110 section 7.8).
    fn switch(
        &self,
        mut response: Response<Download>,
        agreed: Option<(HeaderValue, Switch)>,
    ) -> Result<Response<Body>, Failure> {
        let Some((_, switch)) = agreed else {
            // Nobody has asked for it.
            return Ok(super::error(StatusCode::BAD_GATEWAY));
        };
        let protocol = response.headers().get(UPGRADE).cloned();
        switch.set(hyper::upgrade::on(&mut response));
        let mut response = response.map(|_| Body::default());
        fields::end_of_hop(response.headers_mut());
        self.sign(response.headers_mut(), Version::HTTP_11);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            response.headers_mut().insert(UPGRADE, protocol);
        }
        Ok(response)
    }
}

fn refuse<'t>(failure: &Failure, table: &'t Table) -> WithHsts<'t> {
    let (mut response, hsts) = error_page(table, failure.status(), |_| None);
    match failure {
        Failure::Open(after) => {
            let seconds = after.as_secs() + 1;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        // The rest of the request would be taken for another one.
        Failure::Client | Failure::ClientSilent => {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    (response, hsts)
}
