//! The SHA-256 of a file's final bytes, and what is made of it: the name's fingerprint and the integrity attribute.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, de};
use sha2::{Digest as _, Sha256, Sha512};

/// A SHA-256 digest. Written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest of all that the reader gives, for what is too large to hold in memory.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        let mut running = Running::default();
        let mut chunk = vec![0; 1 << 16];
        loop {
            match reader.read(&mut chunk)? {
                0 => return Ok(running.digest()),
                read => running.add(chunk.get(..read).unwrap_or_default()),
            }
        }
    }

    /// The digest of several parts, each preceded by its length, so that no two lists of parts collide.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Digest(hasher.finalize().into())
    }

    /// The 16 hex digits (64 bits) that stand in a fingerprinted name.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(hex::encode(&self.0[..8]))
    }

    /// The first half as a number: enough to know bytes again that nobody has an interest in forging.
    pub fn seal(&self) -> u128 {
        self.0.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
    }

    /// The value of an `integrity` attribute, see <https://www.w3.org/TR/SRI/#integrity-metadata-description>.
    pub fn integrity(&self) -> Integrity {
        Integrity(format!("sha256-{}", STANDARD.encode(self.0)))
    }

    /// Base64, as S3's `x-amz-checksum-sha256` wants it.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

/// The SHA-512 of the bytes in base64, for those who know files by nothing else.
pub fn sha512(bytes: &[u8]) -> String {
    STANDARD.encode(Sha512::digest(bytes))
}

/// The digest of bytes that come one after the other.
#[derive(Clone, Default)]
pub struct Running(Sha256);

impl Running {
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn digest(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A manifest has many thousands of them.
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| format!("`{text}` is not a SHA-256 in hex"))?;
        Ok(Digest(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// 16 lower-case hex digits, the start of a [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(String);

/// Whether a file's name holds a fingerprint, as [`Fingerprint::name`] gives it.
pub fn is_fingerprinted(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let is_print =
        |text: &str| text.len() == 16 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    file.match_indices('-').any(|(at, _)| {
        let rest = file.get(at + 1..).unwrap_or_default();
        is_print(rest.split('.').next().unwrap_or_default())
    })
}

impl Fingerprint {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `css/main.css` becomes `css/main-3f2a9c1b7d4e8a60.css`.
    pub fn name(&self, path: &str) -> String {
        let (folder, file) = match path.rfind('/') {
            Some(at) => path.split_at(at + 1),
            None => ("", path),
        };
        match file.rfind('.') {
            Some(dot) if dot > 0 => format!("{folder}{}-{}{}", &file[..dot], self.0, &file[dot..]),
            _ => format!("{folder}{file}-{}", self.0),
        }
    }
}

/// `sha256-…` in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Integrity(String);

impl Integrity {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_folder_and_last_extension() {
        let print = Digest::of(b"").fingerprint();
        assert_eq!(print.as_str(), "e3b0c44298fc1c14");
        assert_eq!(print.name("css/a.min.css"), "css/a.min-e3b0c44298fc1c14.css");
        assert_eq!(print.name("LICENSE"), "LICENSE-e3b0c44298fc1c14");
        assert_eq!(print.name("x.y/.hidden"), "x.y/.hidden-e3b0c44298fc1c14");
    }

    #[test]
    fn integrity_is_what_browsers_compute() {
        assert_eq!(Digest::of(b"").integrity().as_str(), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn a_reader_gives_the_same_digest_as_its_bytes() {
        let bytes = vec![7; 200_000];
        assert_eq!(Digest::of_reader(bytes.as_slice()).unwrap(), Digest::of(&bytes));
    }

    #[test]
    fn parts_do_not_collide_by_concatenation() {
        let digest = |parts: &[&[u8]]| Digest::of_parts(parts.iter().copied());
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
