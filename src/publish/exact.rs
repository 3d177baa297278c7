//! A file that is sent as it was promised or not at all: its last bytes are held back until all are known to be right, so that also a
//! store which verifies nothing is not given what somebody writes meanwhile.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body::{Body, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::fingerprint::{Digest, Running};

/// Bytes that are read at once.
const CHUNK: u64 = 128 << 10;

/// Why a file is not sent to its end.
#[derive(Debug, thiserror::Error)]
pub enum Unsent {
    #[error("the file changed while it was sent")]
    Changed,
    #[error("the file could not be read")]
    Unreadable(#[from] io::Error),
}

/// The body of a request.
pub struct Exact {
    chunks: Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Unsent>> + Send + Sync>>,
    length: u64,
}

impl Exact {
    /// The file's first `length` bytes, if their digest is this.
    pub async fn open(path: &Path, length: u64, digest: Digest) -> io::Result<Self> {
        let begun = (File::open(path).await?, Running::default(), length);
        let chunks = stream::try_unfold(begun, move |(mut file, mut running, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let mut chunk = vec![0; usize::try_from(left.min(CHUNK)).unwrap_or(usize::MAX)];
            file.read_exact(&mut chunk).await.map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Unsent::Changed,
                _ => Unsent::Unreadable(error),
            })?;
            running.add(&chunk);
            let left = left - chunk.len() as u64;
            match left == 0 && running.clone().digest() != digest {
                true => Err(Unsent::Changed),
                false => Ok(Some((Frame::data(Bytes::from(chunk)), (file, running, left)))),
            }
        });
        Ok(Exact { chunks: Box::pin(chunks), length })
    }
}

/// Bytes in pieces: as a whole they would count as sent when they are handed over, and a connection that stands still would go unnoticed.
impl From<Bytes> for Exact {
    fn from(bytes: Bytes) -> Self {
        let (length, piece) = (bytes.len(), CHUNK as usize);
        let pieces = (0..length)
            .step_by(piece)
            .map(move |at| Ok::<_, Unsent>(Frame::data(bytes.slice(at..length.min(at + piece)))));
        Exact { chunks: Box::pin(stream::iter(pieces)), length: length as u64 }
    }
}

impl Body for Exact {
    type Data = Bytes;
    type Error = Unsent;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unsent>>> {
        self.chunks.as_mut().poll_next(context)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn all_of_a_file_is_sent_or_not_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..CHUNK * 2 + 10).map(|n| (n % 251) as u8).collect();
        let send = async |now: &[u8]| {
            std::fs::write(&path, now).unwrap();
            let mut body = Exact::open(&path, bytes.len() as u64, Digest::of(&bytes)).await.unwrap();
            assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
            let mut sent = Vec::new();
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => sent.extend_from_slice(&frame.into_data().unwrap()),
                    Err(error) => return (sent.len() as u64, error.to_string()),
                }
            }
            assert_eq!(sent, now);
            (sent.len() as u64, String::new())
        };
        assert_eq!(send(&bytes).await, (bytes.len() as u64, String::new()));
        let changed = "the file changed while it was sent".to_owned();
        let other = [&[1], &bytes[1..]].concat();
        assert_eq!(send(&other).await, (CHUNK * 2, changed.clone()));
        assert_eq!(send(&bytes[..bytes.len() - 1]).await, (CHUNK * 2, changed));
    }
}
