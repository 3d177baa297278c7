//! Whether the body of a public answer is what was published, told while it comes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Failure, Resource};
use crate::client;
use crate::encoding::Encoding;
use crate::fingerprint::Running;
use crate::publish::drift::{Content, Found};

/// Compares the bytes as they come. Whoever stands in front may have packed them anew: then it counts what they are unpacked.
pub async fn content(
    resource: &Resource<'_>,
    used: Option<Encoding>,
    mut body: Incoming,
) -> Result<(u64, Option<Found>), Failure> {
    let broken =
        |error: &(dyn std::error::Error + 'static)| Failure::passing(format!("broke off: {}", client::reason(error)));
    let (unpacked, mut received) = (Sum::default(), Sum::default());
    let mut unpack = used.and_then(|encoding| encoding.unpack(unpacked.clone()).ok());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
        received.add(&data);
        // What can't be unpacked is told from what comes of it.
        if unpack.as_mut().is_some_and(|unpack| unpack.write_all(&data).is_err()) {
            unpack = None;
        }
    }
    let (expected, actual) = (Content::of(resource.expected(used)), received.content());
    let length = actual.length;
    if expected == actual {
        return Ok((length, None));
    }
    let is_whole = unpack.is_some_and(|mut unpack| unpack.finish().is_ok());
    if is_whole && unpacked.content() == Content::of(resource.object) {
        return Ok((length, None));
    }
    Ok((length, Some(Found::Content { expected, actual })))
}

/// Adds up what is written to it; its clones are the same sum.
#[derive(Clone, Default)]
struct Sum(Arc<Mutex<(Running, u64)>>);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let mut sum = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        sum.0.add(bytes);
        sum.1 += bytes.len() as u64;
    }

    fn content(&self) -> Content {
        let (running, length) = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        Content { length, digest: running.digest() }
    }
}

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
