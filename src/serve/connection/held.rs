//! Bodies in memory on their way through HTTP/2, which hands them on in slices: what is a part of one need not be copied to be kept.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// A shorter body is sooner copied than written from where it lies.
const SHORTEST: usize = 4096;

/// As many as can be under way at once. Those whose stream ended early are forgotten when there are more.
const MOST: usize = 256;

/// Bytes of them, as what was read from a file is held by nobody else.
const MOST_BYTES: usize = 4 << 20;

/// Pieces of bodies that were handed to hyper and have not come back whole, the last one last.
#[derive(Debug, Default)]
pub struct Held(Mutex<Vec<Bytes>>);

impl Held {
    pub fn add(&self, piece: &Bytes) {
        if piece.len() < SHORTEST {
            return;
        }
        let mut pieces = self.lock();
        if pieces.len() == MOST || pieces.iter().map(Bytes::len).sum::<usize>() + piece.len() > MOST_BYTES {
            pieces.clear();
        }
        pieces.push(piece.clone());
    }

    /// A slice as a part of the piece in whose memory it lies. With its end, the piece is let go.
    pub fn part(&self, slice: &[u8]) -> Option<Bytes> {
        if slice.is_empty() {
            return None;
        }
        let mut pieces = self.lock();
        let (index, range) = pieces.iter().enumerate().find_map(|(index, piece)| {
            let start = slice.as_ptr().addr().checked_sub(piece.as_ptr().addr())?;
            let end = start + slice.len();
            (end <= piece.len()).then_some((index, start..end))
        })?;
        let piece = pieces.get(index)?;
        let (part, is_end) = (piece.slice(range.clone()), range.end == piece.len());
        if is_end {
            pieces.remove(index);
        }
        Some(part)
    }

    /// Gives back memory that was needed once.
    pub fn give_back(&self) {
        *self.lock() = Vec::new();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_a_part_of_what_it_lies_in() {
        let held = Held::default();
        let (body, other) = (Bytes::from(vec![1; SHORTEST]), Bytes::from(vec![1; SHORTEST]));
        held.add(&body);
        assert!(held.part(&other).is_none() && held.part(&[]).is_none());
        let part = held.part(&body[10..20]).unwrap();
        assert_eq!(part.as_ptr(), body[10..].as_ptr());
        assert_eq!(part.len(), 10);
        assert_eq!(held.part(&body[20..]).unwrap().len(), SHORTEST - 20);
        assert!(held.part(&body[10..20]).is_none(), "it is let go");
    }

    #[test]
    fn one_body_can_be_on_its_way_twice() {
        let held = Held::default();
        let body = Bytes::from(vec![1; SHORTEST]);
        held.add(&body);
        held.add(&body);
        assert!(held.part(&body).is_some() && held.part(&body).is_some() && held.part(&body).is_none());
    }

    #[test]
    fn short_ones_and_those_of_streams_that_ended_are_not_kept() {
        let held = Held::default();
        let short = Bytes::from(vec![1; SHORTEST - 1]);
        held.add(&short);
        assert!(held.part(&short).is_none());
        for _ in 0..10 * MOST {
            held.add(&Bytes::from(vec![1; SHORTEST]));
        }
        assert!(held.lock().len() <= MOST);
        for _ in 0..100 {
            held.add(&Bytes::from(vec![1; 128 << 10]));
            assert!(held.lock().iter().map(Bytes::len).sum::<usize>() <= MOST_BYTES);
        }
    }
}
