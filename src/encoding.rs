//! Content codings (RFC 9110 section 8.4.1): their tokens, the sidecar's extension, and compression.

use std::fmt;
use std::io::{self, Read, Write};

use brotli::enc::backward_references::UnionHasher;
use brotli::enc::multithreading::compress_multi;
use brotli::enc::threading::{Owned, SendAlloc};
use brotli::enc::{BrotliEncoderMaxCompressedSizeMulti, BrotliEncoderParams, SliceWrapper, StandardAlloc};
use serde::{Deserialize, Serialize};
use zstd::stream::zio;

/// A content coding, in the order of preference among those that a client accepts equally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Encoding {
    #[serde(rename = "br")]
    Brotli,
    #[serde(rename = "zstd")]
    Zstd,
    #[serde(rename = "gzip")]
    Gzip,
}

/// How much time compressing may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// All that the library knows: for what is done once per build.
    Most,
    /// Some tens of megabytes a second, for what is done while somebody waits. The result is a tenth larger.
    Little,
}

impl Encoding {
    pub const ALL: [Encoding; 3] = [Encoding::Brotli, Encoding::Zstd, Encoding::Gzip];

    /// The token of `Content-Encoding` and `Accept-Encoding`.
    pub const fn token(self) -> &'static str {
        match self {
            Encoding::Brotli => "br",
            Encoding::Zstd => "zstd",
            Encoding::Gzip => "gzip",
        }
    }

    /// The coding that has this token.
    pub fn of_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.token() == token)
    }

    /// The extension of the sidecar, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Encoding::Brotli => "br",
            Encoding::Zstd => "zst",
            Encoding::Gzip => "gz",
        }
    }

    /// Compresses at the highest level that the library offers: slow, done once per build.
    ///
    /// The result depends on the input alone: gzip carries no name and a zero time.
    pub fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Encoding::Brotli => brotli(bytes),
            Encoding::Zstd => zstandard(bytes),
            Encoding::Gzip => gzip(bytes),
        }
    }

    /// What was compressed, which has to be `length` bytes.
    pub fn decompress(self, packed: &[u8], length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        // One byte more tells what is too long, and no more is made of it.
        let limit = length as u64 + 1;
        match self {
            Encoding::Brotli => brotli::Decompressor::new(packed, 1 << 16).take(limit).read_to_end(&mut bytes)?,
            Encoding::Zstd => zstd::Decoder::new(packed)?.take(limit).read_to_end(&mut bytes)?,
            Encoding::Gzip => {
                bytes.resize(length, 0);
                let unpacked = libdeflater::Decompressor::new().gzip_decompress(packed, &mut bytes);
                let unpacked = unpacked.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                bytes.truncate(unpacked);
                unpacked
            }
        };
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not as long as it should be")),
        }
    }

    /// As [`Encoding::compress`], but at a level that takes no more time than it may.
    pub fn compress_with(self, effort: Effort, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match (self, effort) {
            (_, Effort::Most) => self.compress(bytes),
            (Encoding::Brotli, Effort::Little) => quick_brotli(bytes),
            (Encoding::Zstd, Effort::Little) => zstd::bulk::compress(bytes, 6),
            (Encoding::Gzip, Effort::Little) => gzip_at(libdeflater::CompressionLvl::default(), bytes),
        }
    }
}

impl Encoding {
    /// What is written is compressed as it comes, into `out`, for somebody who waits; flushing brings out all that was written, and
    /// dropping ends it.
    pub fn pack<W: Write + Send + 'static>(self, out: W) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Encoding::Brotli => Box::new(brotli::CompressorWriter::new(out, 1 << 12, 4, 19)),
            Encoding::Zstd => Box::new(zstd::stream::write::Encoder::new(out, 3)?.auto_finish()),
            Encoding::Gzip => Box::new(flate2::write::GzEncoder::new(out, flate2::Compression::new(5))),
        })
    }

    /// What is written is unpacked as it comes, into `out`.
    pub fn unpack<W: Write>(self, out: W) -> io::Result<Unpacker<W>> {
        Ok(match self {
            Encoding::Brotli => Unpacker::Brotli(Box::new(brotli::DecompressorWriter::new(out, 1 << 16))),
            Encoding::Zstd => Unpacker::Zstd(zio::Writer::new(out, zstd::stream::raw::Decoder::new()?)),
            Encoding::Gzip => Unpacker::Gzip(Box::new(flate2::write::MultiGzDecoder::new(out))),
        })
    }
}

/// Unpacks what is written to it. Flushing brings out all that can be told by then.
pub enum Unpacker<W: Write> {
    Brotli(Box<brotli::DecompressorWriter<W>>),
    Zstd(zio::Writer<W, zstd::stream::raw::Decoder<'static>>),
    Gzip(Box<flate2::write::MultiGzDecoder<W>>),
}

impl<W: Write> Unpacker<W> {
    /// Nothing follows; an error if something should.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            Unpacker::Brotli(writer) => writer.close(),
            Unpacker::Zstd(writer) => writer.finish(),
            Unpacker::Gzip(writer) => writer.try_finish(),
        }
    }
}

impl<W: Write> Write for Unpacker<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Unpacker::Brotli(writer) => writer.write(bytes),
            Unpacker::Zstd(writer) => writer.write(bytes),
            Unpacker::Gzip(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Unpacker::Brotli(writer) => writer.flush(),
            Unpacker::Zstd(writer) => writer.flush(),
            Unpacker::Gzip(writer) => writer.flush(),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// So many bytes of a file are compressed by one thread. Each part is told what comes before it, so that nothing is lost but time.
const BROTLI_PART: usize = 4 << 20;

fn brotli(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // RFC 7932 section 9.1: a window of up to 16 MiB less 16 bytes; no larger than the input asks for.
    let window = (usize::BITS - bytes.len().leading_zeros()).clamp(16, 24) as i32;
    let params =
        BrotliEncoderParams { quality: 11, lgwin: window, size_hint: bytes.len(), ..BrotliEncoderParams::default() };
    // Of the size alone: the result must not depend on the machine.
    let parts = bytes.len().div_ceil(BROTLI_PART);
    if parts > 1 {
        return brotli_parts(bytes, &params, parts);
    }
    let mut out = Vec::with_capacity(bytes.len() / 3);
    let mut writer = brotli::CompressorWriter::with_params(&mut out, 1 << 16, &params);
    writer.write_all(bytes)?;
    writer.flush()?;
    drop(writer);
    Ok(out)
}

fn quick_brotli(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let params = BrotliEncoderParams { quality: 5, size_hint: bytes.len(), ..Default::default() };
    let mut out = Vec::with_capacity(bytes.len() / 2);
    let mut writer = brotli::CompressorWriter::with_params(&mut out, 1 << 16, &params);
    writer.write_all(bytes)?;
    writer.flush()?;
    drop(writer);
    Ok(out)
}

fn brotli_parts(bytes: &[u8], params: &BrotliEncoderParams, parts: usize) -> io::Result<Vec<u8>> {
    let mut out = vec![0; BrotliEncoderMaxCompressedSizeMulti(bytes.len(), parts)];
    let part = || SendAlloc::new(StandardAlloc::default(), UnionHasher::Uninit);
    let mut threads: Vec<_> = std::iter::repeat_with(part).take(parts).collect();
    let mut input = Owned::new(Shared(bytes.into()));
    let length = compress_multi(params, &mut input, &mut out, &mut threads)
        .map_err(|error| io::Error::other(format!("{error:?}")))?;
    out.truncate(length);
    Ok(out)
}

/// Bytes for several threads.
struct Shared(Box<[u8]>);

impl SliceWrapper<u8> for Shared {
    fn slice(&self) -> &[u8] {
        &self.0
    }
}

fn zstandard(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(*zstd::compression_level_range().end())?;
    // RFC 9659: on the web a window must not exceed 8 MiB; browsers refuse more.
    compressor.set_parameter(zstd::zstd_safe::CParameter::WindowLog(23))?;
    compressor.compress(bytes)
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    gzip_at(libdeflater::CompressionLvl::best(), bytes)
}

fn gzip_at(level: libdeflater::CompressionLvl, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut out).map_err(|error| io::Error::other(error.to_string()))?;
    out.truncate(length);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_several_parts_is_packed_as_one() {
        let line = |index: u32| format!("{index}: {}\n", index.wrapping_mul(2_654_435_761));
        let once: String = (0..1500).map(line).collect();
        let text = once.repeat(2 * BROTLI_PART / once.len() + 1);
        let packed = brotli(text.as_bytes()).expect("compresses");
        let mut out = Vec::new();
        brotli::BrotliDecompress(&mut packed.as_slice(), &mut out).expect("valid brotli");
        assert!(out == text.as_bytes());
        let alone = brotli(once.as_bytes()).expect("compresses");
        assert!(packed.len() < 2 * alone.len(), "{} bytes, once {}", packed.len(), alone.len());
    }

    #[test]
    fn every_coding_gives_back_what_it_took() {
        let text = "a fingerpost points each traveller to a place; ".repeat(300);
        for encoding in Encoding::ALL {
            let packed = encoding.compress(text.as_bytes()).expect("compresses");
            assert!(packed.len() < text.len() / 10, "{encoding}: {}", packed.len());
            assert_eq!(packed, encoding.compress(text.as_bytes()).expect("compresses"), "{encoding} repeats");
            assert!(
                encoding.compress_with(Effort::Little, text.as_bytes()).expect("compresses").len() < text.len() / 10
            );
            if encoding == Encoding::Gzip {
                assert_eq!(&packed[4..8], [0; 4], "no time in the header");
            }
            let plain = encoding.decompress(&packed, text.len()).expect("valid");
            assert_eq!(plain, text.as_bytes(), "{encoding}");
            let (mut out, written) = tempfile::NamedTempFile::new().expect("a file").into_parts();
            let mut unpacking = encoding.unpack(out.try_clone().expect("the file")).expect("unpacks");
            packed.chunks(7).for_each(|part| unpacking.write_all(part).expect("unpacks"));
            unpacking.finish().expect("unpacks");
            assert_eq!(std::fs::read(&written).expect("the file"), text.as_bytes(), "{encoding}");
            out.flush().expect("the file");
            for other in [text.len() - 1, text.len() + 1] {
                assert!(encoding.decompress(&packed, other).is_err(), "{encoding}: not of that length");
            }
            assert!(encoding.decompress(b"no such thing", 13).is_err(), "{encoding}");
        }
    }
}
