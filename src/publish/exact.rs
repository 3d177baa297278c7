//! A file that is sent as it was promised or not at all: its last bytes are held back until all are known to be right, so that also a
//! store which verifies nothing is not given what somebody writes meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body::{Body, Frame, SizeHint};

use super::folder::blocking;
use crate::fingerprint::{Digest, Running};

/// Bytes that are read at once.
const CHUNK: u64 = 128 << 10;

/// Bytes of those in memory that are handed over at once.
const PIECE: usize = 128 << 10;

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
        let path = path.to_owned();
        let file = blocking(move || File::open(path)).await?;
        let rest = Rest { file, running: Running::default(), left: length, digest };
        let chunks = stream::try_unfold(rest, |rest| async move {
            match rest.left {
                0 => Ok(None),
                _ => {
                    // Made where it is let go of: each thread keeps what others free of its own.
                    let chunk = vec![0; usize::try_from(rest.left.min(CHUNK)).unwrap_or(usize::MAX)];
                    // Reading and hashing, where it is in nobody's way.
                    blocking(move || rest.read(chunk)).await.map(Some)
                }
            }
        });
        Ok(Exact { chunks: Box::pin(chunks), length })
    }
}

/// A file that has been read in part.
struct Rest {
    file: File,
    running: Running,
    left: u64,
    /// Of all of it.
    digest: Digest,
}

impl Rest {
    /// The next chunk, and what is left after it.
    fn read(mut self, mut chunk: Vec<u8>) -> Result<(Frame<Bytes>, Self), Unsent> {
        self.file.read_exact(&mut chunk).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Unsent::Changed,
            _ => Unsent::Unreadable(error),
        })?;
        self.running.add(&chunk);
        self.left -= chunk.len() as u64;
        match self.left == 0 && self.running.clone().digest() != self.digest {
            true => Err(Unsent::Changed),
            false => Ok((Frame::data(Bytes::from(chunk)), self)),
        }
    }
}

/// Bytes in pieces: as a whole they would count as sent when they are handed over, and a connection that stands still would go unnoticed.
impl From<Bytes> for Exact {
    fn from(bytes: Bytes) -> Self {
        let length = bytes.len();
        let pieces = (0..length)
            .step_by(PIECE)
            .map(move |at| Ok::<_, Unsent>(Frame::data(bytes.slice(at..length.min(at + PIECE)))));
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
