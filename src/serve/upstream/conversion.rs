//! What happens to an answer's body on its way: its coding is undone, its URLs are rewritten, and it is compressed. Each piece is
//! passed on as far as it can be as soon as it comes, so that whoever streams a page streams it still.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use crate::encoding::{Encoding, Unpacker};
use crate::html;

/// What is done to a body, in this order.
#[derive(Default)]
pub struct Conversion {
    pub unpack: Option<Unpack>,
    pub edit: Option<html::Stream>,
    pub pack: Option<Pack>,
}

impl Conversion {
    pub fn is_nothing(&self) -> bool {
        self.unpack.is_none() && self.edit.is_none() && self.pack.is_none()
    }

    fn write(&mut self, bytes: Bytes) -> io::Result<Bytes> {
        let bytes = match &mut self.unpack {
            Some(unpack) => unpack.write(&bytes)?.into(),
            None => bytes,
        };
        let bytes = match &mut self.edit {
            Some(page) => page.write(bytes),
            None => bytes,
        };
        match &mut self.pack {
            Some(pack) => Ok(pack.write(&bytes)?.into()),
            None => Ok(bytes),
        }
    }

    /// What the compressor still holds back.
    fn flush(&mut self) -> io::Result<Bytes> {
        self.pack.as_mut().map_or(Ok(Bytes::new()), |pack| pack.flush().map(Bytes::from))
    }

    fn end(&mut self) -> io::Result<Bytes> {
        let mut bytes = match &mut self.unpack {
            Some(unpack) => unpack.end()?.into(),
            None => Bytes::new(),
        };
        if let Some(page) = &mut self.edit {
            let last = if bytes.is_empty() { bytes } else { page.write(bytes) };
            let end = page.end();
            bytes = if last.is_empty() { end } else { [last, end].concat().into() };
        }
        if let Some(pack) = self.pack.take() {
            bytes = pack.end(&bytes)?.into();
        }
        Ok(bytes)
    }
}

/// Undoes a coding.
pub struct Unpack {
    unpacker: Unpacker<Outlet>,
    out: Outlet,
}

impl Unpack {
    pub fn new(encoding: Encoding) -> io::Result<Self> {
        let out = Outlet::default();
        Ok(Unpack { unpacker: encoding.unpack(out.clone())?, out })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.unpacker.write_all(bytes)?;
        self.unpacker.flush()?;
        Ok(self.out.take())
    }

    fn end(&mut self) -> io::Result<Vec<u8>> {
        self.unpacker.finish()?;
        Ok(self.out.take())
    }
}

/// Makes a coding.
pub struct Pack {
    packer: Box<dyn Write + Send>,
    out: Outlet,
}

impl Pack {
    pub fn new(encoding: Encoding) -> io::Result<Self> {
        let out = Outlet::default();
        Ok(Pack { packer: encoding.pack(out.clone())?, out })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.packer.write_all(bytes)?;
        Ok(self.out.take())
    }

    fn flush(&mut self) -> io::Result<Vec<u8>> {
        self.packer.flush()?;
        Ok(self.out.take())
    }

    fn end(mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.packer.write_all(bytes)?;
        drop(self.packer);
        Ok(self.out.take())
    }
}

/// Where a coder writes to.
#[derive(Clone, Default)]
struct Outlet(Arc<Mutex<Vec<u8>>>);

impl Outlet {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pin_project! {
    /// A body that is converted.
    pub struct Converted<B> {
        #[pin]
        body: B,
        conversion: Conversion,
        // Something was written since the last flush.
        holds_back: bool,
        has_ended: bool,
        trailers: Option<HeaderMap>,
    }
}

impl<B> Converted<B> {
    pub fn new(body: B, conversion: Conversion) -> Self {
        Converted { body, conversion, holds_back: false, has_ended: false, trailers: None }
    }
}

impl<B: Body<Data = Bytes, Error = io::Error>> Body for Converted<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut this = self.project();
        loop {
            if *this.has_ended {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let polled = this.body.as_mut().poll_frame(cx);
            // Nothing more for now: the client gets what there is.
            if polled.is_pending() && std::mem::take(this.holds_back) {
                let bytes = this.conversion.flush()?;
                if !bytes.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
            }
            let bytes = match ready!(polled).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => {
                    *this.holds_back = true;
                    this.conversion.write(data)?
                }
                rest => {
                    // Trailers come last.
                    *this.trailers = rest.and_then(Result::err).and_then(|frame| frame.into_trailers().ok());
                    *this.has_ended = true;
                    this.conversion.end()?
                }
            };
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::sync::mpsc;

    type Frames = mpsc::UnboundedSender<Frame<Bytes>>;

    fn body(conversion: Conversion) -> (Frames, Pin<Box<Converted<impl Body<Data = Bytes, Error = io::Error>>>>) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|frame| frame.map(Ok)));
        (sender, Box::pin(Converted::new(StreamBody::new(frames), conversion)))
    }

    #[tokio::test]
    async fn each_piece_arrives_before_the_next_is_sent() {
        for encoding in Encoding::ALL {
            let conversion = Conversion { pack: Some(Pack::new(encoding).unwrap()), ..Conversion::default() };
            let (sender, mut body) = body(conversion);
            let mut unpack = Unpack::new(encoding).unwrap();
            let mut got = Vec::new();
            for piece in ["one ", "two ", "three"] {
                sender.send(Frame::data(Bytes::from_static(piece.as_bytes()))).unwrap();
                let before = got.len();
                while got.len() < before + piece.len() {
                    let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
                    got.extend(unpack.write(&data).unwrap());
                }
            }
            let trailers = HeaderMap::from_iter([(http::header::ETAG, "x".parse().unwrap())]);
            sender.send(Frame::trailers(trailers.clone())).unwrap();
            let rest = body.collect().await.unwrap();
            assert_eq!(rest.trailers(), Some(&trailers));
            got.extend(unpack.write(&rest.to_bytes()).unwrap());
            got.extend(unpack.end().unwrap());
            assert_eq!(String::from_utf8(got).unwrap(), "one two three", "{encoding}");
        }
    }

    #[tokio::test]
    async fn what_is_cut_short_is_an_error() {
        for encoding in Encoding::ALL {
            let packed = encoding.compress(&b"a page ".repeat(500)).unwrap();
            let conversion = Conversion { unpack: Some(Unpack::new(encoding).unwrap()), ..Conversion::default() };
            let (sender, body) = body(conversion);
            sender.send(Frame::data(Bytes::copy_from_slice(&packed[..packed.len() / 2]))).unwrap();
            drop(sender);
            assert!(body.collect().await.is_err(), "{encoding}");
        }
    }

    #[tokio::test]
    async fn an_empty_body_stays_one() {
        let (sender, body) = body(Conversion::default());
        drop(sender);
        assert!(body.collect().await.unwrap().to_bytes().is_empty());
    }
}
