//! Files sent by sendfile(2) through hyper, which knows of nothing but bytes in memory.
//!
//! A body gives hyper slices of a [`HOLE`] that nobody reads, and queues the piece of a file that each of them stands for. hyper hands the
//! slices on to be written, and there the piece is sent in their place. Where in the hole a slice lies says which piece it stands for
//! and how much of it was sent, so that anything that is copied, cut or in another order is noticed, and ends the connection. The hole's
//! own bytes are never sent.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::serve::body::{Body, End};
use crate::serve::content::{Content, Segment};
use crate::serve::stored::Standing;

/// Bytes of the largest piece.
const SLOT: usize = 1 << 20;

/// Bytes that are sent at a time at most where no slot stands for them, so that others come to their turn.
const MOST: usize = 2 << 20;

/// hyper holds 16 buffers at most before it writes them; each has its own slot.
const SLOTS: usize = 32;

/// Address space without memory: it comes zeroed from the system, and is never touched. (A `static` of zeros that is not `mut` would lie in
/// the executable.)
static HOLE: LazyLock<&'static [u8]> = LazyLock::new(|| Vec::leak(vec![0; SLOT * SLOTS]));

/// Where in the hole a slice lies.
fn place(slice: &[u8]) -> Option<usize> {
    let at = (slice.as_ptr() as usize).checked_sub(HOLE.as_ptr() as usize)?;
    (!slice.is_empty() && at < HOLE.len()).then_some(at)
}

/// Whether a slice stands for a piece of a file.
pub fn is_of_a_file(slice: &[u8]) -> bool {
    place(slice).is_some()
}

/// The pieces of files that a connection has yet to send.
#[derive(Debug, Default)]
pub struct Files {
    /// How many there are, to be asked without a lock.
    queued: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    next_slot: usize,
}

#[derive(Debug)]
struct Piece {
    transfer: Transfer,
    slot: usize,
    end: Ending,
}

/// A part of a file on its way.
#[derive(Debug)]
pub struct Transfer {
    segment: Segment,
    sent: u64,
    /// The file was asked for its soundness, and nothing sent since, nor waited for anything.
    is_sound: bool,
    /// A doubt, which is being settled.
    verifying: Option<JoinHandle<bool>>,
}

impl Transfer {
    fn new(segment: Segment) -> Self {
        Transfer { segment, sent: 0, is_sound: false, verifying: None }
    }

    /// Of a file that was asked for its soundness just before.
    pub fn of_sound(segment: Segment) -> Self {
        Transfer { is_sound: true, ..Transfer::new(segment) }
    }

    /// Bytes of all of it.
    pub fn length(&self) -> u64 {
        self.segment.length()
    }

    pub fn is_over(&self) -> bool {
        self.sent >= self.length()
    }

    /// Whether the file is what it was. A doubt is settled aside, as that reads the file.
    fn poll_soundness(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(verifying) = &mut self.verifying {
                let is_sound = ready!(Pin::new(verifying).poll(cx)).unwrap_or(false);
                self.verifying = None;
                if !is_sound {
                    return Poll::Ready(Err(changed()));
                }
            }
            match self.segment.stored().standing() {
                Standing::Same => {
                    self.is_sound = true;
                    return Poll::Ready(Ok(()));
                }
                Standing::Changed => return Poll::Ready(Err(changed())),
                Standing::Doubtful => {
                    let stored = Arc::clone(self.segment.stored());
                    self.verifying = Some(tokio::task::spawn_blocking(move || stored.verify()));
                }
            }
        }
    }

    /// There is a wait before more is sent, in which anything may happen to the file.
    pub fn waits(&mut self) {
        self.is_sound = false;
    }

    /// Sends what goes in at once. Of a file that has changed, the end is never sent: the client sees that its answer is not whole.
    fn send(&mut self, socket: &TcpStream) -> io::Result<usize> {
        let stored = self.segment.stored();
        if !mem::take(&mut self.is_sound) && !stored.is_unchanged() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut from = self.segment.range().start + self.sent;
        let length = usize::try_from(self.length() - self.sent).unwrap_or(usize::MAX).min(MOST);
        let count = socket
            .try_io(Interest::WRITABLE, || Ok(rustix::fs::sendfile(socket, stored.file(), Some(&mut from), length)?))?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter while it was sent"));
        }
        self.sent += count as u64;
        Ok(count)
    }

    /// Sends a part of what is left, of which there is some. If that is pending, it [waits](Transfer::waits).
    pub fn poll_send(&mut self, socket: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(socket.poll_write_ready(cx))?;
            if !self.is_sound {
                ready!(self.poll_soundness(cx))?;
            }
            match self.send(socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

/// Who is told of the body's end, if anybody is: when it and all pieces of it are gone.
type Ending = Option<Arc<Mutex<End>>>;

fn count(end: &Ending, bytes: usize) {
    if let Some(end) = end {
        end.lock().unwrap_or_else(PoisonError::into_inner).sent(bytes as u64);
    }
}

impl Files {
    /// Whether hyper should be about to write a slice of the hole.
    pub fn is_empty(&self) -> bool {
        self.queued.load(Relaxed) == 0
    }

    /// The slice that stands for a piece of a file, which is at most a slot long.
    fn push(&self, segment: Segment, end: Ending) -> Bytes {
        let length = usize::try_from(segment.length()).unwrap_or(usize::MAX).min(SLOT);
        let mut queue = self.lock();
        let slot = queue.next_slot;
        queue.next_slot = (slot + 1) % SLOTS;
        queue.pieces.push_back(Piece { transfer: Transfer::new(segment), slot, end });
        self.queued.store(queue.pieces.len(), Relaxed);
        let hole: &'static [u8] = *HOLE;
        Bytes::from_static(hole.get(slot * SLOT..slot * SLOT + length).unwrap_or_default())
    }

    /// Whether the file of the next piece is what it was.
    pub fn poll_soundness(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().pieces.front_mut().map_or(Poll::Ready(Ok(())), |piece| piece.transfer.poll_soundness(cx))
    }

    /// Writes slices, some of them of the hole, until one does not go in whole.
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] if nothing was written, and with others if the connection must end.
    pub fn write(&self, socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        let mut rest = slices;
        while let Some((first, others)) = rest.split_first() {
            let (result, wanted) = if let Some(at) = place(first) {
                rest = others;
                (self.write_piece(socket, at, first.len()), first.len())
            } else {
                let count = rest.iter().position(|slice| place(slice).is_some()).unwrap_or(rest.len());
                let (memory, others) = rest.split_at(count);
                rest = others;
                (write_memory(socket, memory, !others.is_empty()), memory.iter().map(|slice| slice.len()).sum())
            };
            match result {
                Ok(count) => {
                    written += count;
                    if count < wanted {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && written > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// The piece that a slice stands for, from where it was sent up to.
    fn write_piece(&self, socket: &TcpStream, at: usize, length: usize) -> io::Result<usize> {
        let mut queue = self.lock();
        let piece = queue.pieces.front_mut().ok_or_else(out_of_step)?;
        let Transfer { sent, .. } = piece.transfer;
        let is_next = at / SLOT == piece.slot && (at % SLOT) as u64 == sent;
        if !is_next || length as u64 != piece.transfer.length() - sent {
            return Err(out_of_step());
        }
        let count = piece.transfer.send(socket)?;
        self::count(&piece.end, count);
        if piece.transfer.is_over() {
            queue.pieces.pop_front();
            self.queued.store(queue.pieces.len(), Relaxed);
        }
        Ok(count)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file has changed while it was sent")
}

/// Something between the body and the socket has not handed the slices on as they were.
pub fn out_of_step() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a file and its place in the answer differ")
}

/// Writes the head of an answer whose body is a file.
pub fn poll_write_head(socket: &TcpStream, cx: &mut Context<'_>, head: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(cx))?;
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        match socket.try_io(Interest::WRITABLE, || Ok(rustix::net::send(socket, head, flags)?)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
    }
}

/// `more` tells the system that a file follows, so that it does not send a head as a packet of its own.
fn write_memory(socket: &TcpStream, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
    let flags = if more { SendFlags::MORE | SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL };
    socket.try_io(Interest::WRITABLE, || {
        Ok(rustix::net::sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)?)
    })
}

/// A body's frames, those of its files being slices of the hole.
#[derive(Debug)]
pub struct FileFrames {
    body: Body,
    files: Arc<Files>,
    end: Ending,
}

impl FileFrames {
    pub fn new(mut body: Body, files: Arc<Files>) -> Self {
        let end = body.take_end().map(|end| Arc::new(Mutex::new(end)));
        FileFrames { body, files, end }
    }

    /// Bytes that are yet to come.
    pub fn remaining(&self) -> u64 {
        self.body.remaining()
    }

    pub fn next_frame(&mut self) -> Option<Bytes> {
        Some(match self.body.next_piece(SLOT as u64)? {
            Content::Memory(bytes) => {
                count(&self.end, bytes.len());
                bytes
            }
            Content::File(segment) => self.files.push(segment, self.end.clone()),
            // The handler opens what is closed before it answers. A body that ends early ends the connection.
            Content::Closed(_) => return None,
        })
    }
}
