//! The service that answers from a table, and passes on what is not there.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;

use super::{Upstream, Visit};
use crate::serve::answer::Answer;
use crate::serve::body::Body;
use crate::serve::handler::{Handler, Routed};
use crate::serve::peer::Peer;

/// A [`Handler`] with an application behind it.
#[derive(Debug, Clone)]
pub struct Gateway {
    handler: Handler,
    upstream: Arc<Upstream>,
    peer: Option<Peer>,
}

impl Gateway {
    pub fn new(handler: Handler, upstream: Arc<Upstream>) -> Self {
        Gateway { handler, upstream, peer: None }
    }

    /// For a connection.
    pub fn for_peer(self, peer: Peer) -> Self {
        Gateway { handler: self.handler.for_peer(peer), peer: Some(peer), ..self }
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
        match self.handler.route(&request) {
            Routed::Here(response) => Answer::checked(response),
            Routed::Beyond(table, client) => {
                let visit = Visit { table, client, peer: self.peer, is_trusted: self.handler.is_behind_proxy() };
                Answer::later(Arc::clone(&self.upstream).forward(request, visit))
            }
        }
    }
}
