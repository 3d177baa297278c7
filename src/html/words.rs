//! Bytes looked at eight at a time, as one number. What is looked for in a tag is near: to look byte by byte takes longer, and so do the
//! preparations of a vector.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHEST: u64 = ONES << 7;

/// The eight bytes at a place, the first of them the lowest; none if there are fewer.
#[inline]
pub fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

/// Where the first byte is that is below a limit, which is itself an ASCII character.
///
/// A borrow from a byte that is below it goes to those behind it, so of the bytes that seem to be, the first one is.
#[inline]
pub fn below(word: u64, limit: u8) -> Option<usize> {
    let found = word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGHEST;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// Where the first such byte is.
#[inline]
pub fn position(word: u64, byte: u8) -> Option<usize> {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// The first `length` bytes, the first of them the highest, and each with the bit that tells small letters from capitals.
#[inline]
pub fn letters(word: u64, length: usize) -> u64 {
    let bits = u32::try_from(length * 8).unwrap_or(u64::BITS);
    (word | ONES << 5).swap_bytes().checked_shr(u64::BITS.saturating_sub(bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn letters_are_as_they_are_read() {
        let word = word(b"DiV>text", 0).unwrap();
        assert_eq!([0, 1, 3].map(|length| letters(word, length)), [0, 0x64, 0x64_6976]);
        assert_eq!(letters(word, 8), 0x6469_763e_7465_7874);
    }

    proptest! {
        #[test]
        fn a_word_is_searched_as_bytes_are(
            bytes in prop::array::uniform8(prop_oneof![any::<u8>(), Just(b'"'), Just(b'!'), Just(b'A'), Just(b'@'), Just(0), Just(128)]),
            byte: u8,
            limit in 0..128u8,
        ) {
            let all = word(&bytes, 0).unwrap();
            prop_assert_eq!(position(all, byte), bytes.iter().position(|own| *own == byte));
            prop_assert_eq!(position(all, b'"'), bytes.iter().position(|own| *own == b'"'));
            prop_assert_eq!(below(all, limit), bytes.iter().position(|own| *own < limit));
            prop_assert_eq!(word(&bytes, 1), None);
        }
    }
}
