//! The service that answers from a table, and passes on what is not there.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::{Upstream, Visit};
use crate::serve::answer::Answer;
use crate::serve::asked::Asked;
use crate::serve::body::Body;
use crate::serve::handler::{Handler, Routed, decoded_path, has_right_host};
use crate::serve::peer::Peer;
use crate::serve::table::Table;

/// A [`Handler`] with an application behind it.
#[derive(Debug, Clone)]
pub struct Gateway {
    handler: Handler,
    upstream: Arc<Upstream>,
}

impl Gateway {
    pub fn new(handler: Handler, upstream: Arc<Upstream>) -> Self {
        Gateway { handler, upstream }
    }

    /// For a connection.
    pub fn for_peer(self, peer: Peer) -> Self {
        Gateway { handler: self.handler.for_peer(peer), ..self }
    }

    /// What answers from the table.
    pub fn handler(&self) -> &Handler {
        &self.handler
    }
}

impl tower::Service<Request<Incoming>> for Gateway {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answer {
        match self.handler.look_up(&request, is_for_others) {
            Routed::Here(response) => Answer::checked(response),
            Routed::Beyond(table, client) => {
                let (peer, is_trusted) = (self.handler.peer(), self.handler.is_behind_proxy());
                let visit = Visit { table, client, peer, is_trusted };
                Answer::later(Arc::clone(&self.upstream).forward(request, visit))
            }
        }
    }
}

/// Whether a request is to be passed on: what is in the table is only ever retrieved.
fn is_for_others<B>(table: &Table, request: &Request<B>, asked: &Asked<'_>) -> bool {
    let is_elsewhere = || match decoded_path(request.uri()) {
        Ok(path) => table.get(&path).is_none(),
        Err(StatusCode::URI_TOO_LONG) => false,
        // Whoever is behind may know what it means.
        Err(_) => request.uri().path().starts_with('/'),
    };
    has_right_host(request, asked)
        && match *request.method() {
            Method::GET | Method::HEAD | Method::OPTIONS => is_elsewhere(),
            // Tunnels to elsewhere, and echoes of what proxies add (RFC 9110 sections 9.3.6 and 9.3.8), are nobody's business.
            Method::CONNECT | Method::TRACE => false,
            _ => true,
        }
}
