//! Images: made smaller without a change to what is seen, and the size at which a browser shows an image.

use oxipng::{Options, PngError, StripChunks, indexset};

use crate::asset::extension;
use crate::error::Fault;

mod svg;

pub use svg::optimise_svg;

/// An image of more pixels, or a file that unpacks to more bytes, is taken for a bomb.
const MAX_PIXELS: u64 = 1 << 28;
const MAX_BYTES: usize = 1 << 30;

/// The smaller file of the same pixels and frames; none if there is no smaller one, or if the image must not be touched.
pub fn optimise_png(name: &str, bytes: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let options = Options {
        interlace: None,
        // What changes how the image looks: its colours' meaning, its size on paper, which side is up, its frames. With `caBX`, a
        // signature, it is not touched.
        strip: StripChunks::Keep(indexset! {
            *b"cICP", *b"iCCP", *b"sRGB", *b"gAMA", *b"cHRM", *b"mDCV", *b"cLLI", *b"pHYs", *b"eXIf",
            *b"acTL", *b"fcTL", *b"fdAT", *b"caBX",
        }),
        max_decompressed_size: Some(MAX_BYTES),
        ..Options::from_preset(4)
    };
    let made = match is_sound(bytes) {
        true => oxipng::optimize_from_memory(bytes, &options),
        false => Err(PngError::InvalidData),
    };
    match made {
        Ok(smaller) => Ok(Some(smaller).filter(|smaller| smaller.len() < bytes.len())),
        Err(PngError::C2PAMetadataPreventsChanges | PngError::ChunkPreventsChanges(_)) => Ok(None),
        Err(error) => Err(Fault::new(format!("`{name}` is no valid PNG, and stays as it is: {error}"))),
    }
}

/// Whether sizes and frames are such as the optimiser takes on trust: it would panic, or ask for all memory there is.
fn is_sound(png: &[u8]) -> bool {
    let sides = |data: &[u8], at: usize| {
        let side = |at: usize| Some(u64::from(u32::from_be_bytes(*data.get(at..)?.first_chunk()?)));
        Some((side(at)?, side(at + 4)?))
    };
    let mut canvas = None;
    for (name, data) in chunks(png) {
        match name {
            b"IHDR" => canvas = sides(data, 0).filter(|(width, height)| (1..=MAX_PIXELS).contains(&(width * height))),
            b"fcTL" => {
                let (Some(canvas), Some(frame)) = (canvas, sides(data, 4)) else { return false };
                if frame.0 > canvas.0 || frame.1 > canvas.1 {
                    return false;
                }
            }
            b"fdAT" if data.len() < 4 => return false,
            _ => {}
        }
    }
    canvas.is_some()
}

/// Width and height in CSS pixels at which browsers show the image where nothing says otherwise; none if that is not known, or
/// depends on where the image stands.
pub fn size(path: &str, bytes: &[u8]) -> Option<(u32, u32)> {
    if extension(path) == "svg" {
        return svg_size(std::str::from_utf8(bytes).ok()?);
    }
    let size = imagesize::blob_size(bytes).ok()?;
    let (width, height) = (u32::try_from(size.width).ok()?, u32::try_from(size.height).ok()?);
    let size = if orientation(bytes)? >= 5 { (height, width) } else { (width, height) };
    (size.0 > 0 && size.1 > 0).then_some(size)
}

/// How the image is turned, see the tag `Orientation` of Exif: from 5 on its sides are exchanged. 1 if it doesn't say.
///
/// None for other formats than JPEG, if they have Exif: browsers do not agree on what it does there.
fn orientation(bytes: &[u8]) -> Option<u16> {
    if bytes.starts_with(b"\xff\xd8") {
        // It stands in one of the first segments, each of at most 64 KiB.
        let head = &bytes[..bytes.len().min(1 << 17)];
        let exif = head.windows(6).position(|window| window == b"Exif\0\0");
        return Some(exif.and_then(|at| orientation_tag(&head[at + 6..])).unwrap_or(1));
    }
    let turned = match bytes.starts_with(b"\x89PNG") {
        true => chunks(bytes).any(|(name, _)| name == b"eXIf"),
        // https://developers.google.com/speed/webp/docs/riff_container#extended_file_format
        false => bytes.get(8..16).is_some_and(|kind| kind == b"WEBPVP8X") && bytes.get(20).is_some_and(|b| b & 8 != 0),
    };
    (!turned).then_some(1)
}

/// A PNG's chunks, each with its name (PNG, section 5.3).
fn chunks(png: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = png.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (name, after) = after.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        let data = after.get(..length)?;
        rest = after.get(length + 4..).unwrap_or_default();
        Some((name, data))
    })
}

/// The tag's value in the first directory of a TIFF block (TIFF 6.0, section 2).
fn orientation_tag(tiff: &[u8]) -> Option<u16> {
    let big = tiff.starts_with(b"MM");
    let read = |at: usize, count: usize| {
        let bytes = tiff.get(at..at.checked_add(count)?)?;
        let digit = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
        Some(if big { bytes.iter().fold(0, digit) } else { bytes.iter().rev().fold(0, digit) })
    };
    let directory = read(4, 4)?;
    let entries = (0..read(directory, 2)?).map(|index| directory + 2 + index * 12);
    let entry = entries.into_iter().find(|entry| read(*entry, 2) == Some(0x0112))?;
    u16::try_from(read(entry + 8, 2)?).ok()
}

/// One that says nothing of its size in pixels fills the space there is, so that a size would change how it looks.
fn svg_size(text: &str) -> Option<(u32, u32)> {
    let attribute = |name: &str| attributes(text)?.find(|(key, _)| *key == name).map(|(_, value)| value.trim());
    let pixels = |name: &str| attribute(name).and_then(|value| value.trim_end_matches("px").parse::<f64>().ok());
    let ratio = || {
        let view: Vec<f64> = attribute("viewBox")?
            .split(|c: char| c == ',' || c.is_ascii_whitespace())
            .filter_map(|number| number.parse().ok())
            .collect();
        <[f64; 4]>::try_from(view).ok().map(|[_, _, width, height]| width / height)
    };
    let (width, height) = match (pixels("width"), pixels("height")) {
        (Some(width), Some(height)) => (width, height),
        (Some(width), None) if attribute("height").is_none() => (width, width / ratio()?),
        (None, Some(height)) if attribute("width").is_none() => (height * ratio()?, height),
        _ => return None,
    };
    let whole = |length: f64| (length >= 1.0 && length.fract() == 0.0 && length < 1e6).then_some(length as u32);
    Some((whole(width)?, whole(height)?))
}

/// The attributes of an XML document's first element, if that is an `svg`.
fn attributes(text: &str) -> Option<impl Iterator<Item = (&str, &str)>> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<?") => "?>",
            // A doctype with declarations of its own ends after them.
            _ if rest.starts_with("<!") && rest.find('[') < rest.find('>') && rest.contains(']') => "]>",
            _ if rest.starts_with("<!") => ">",
            _ => break,
        };
        rest = rest[rest.find(end)? + end.len()..].trim_start();
    }
    let mut rest = rest.strip_prefix("<svg").filter(|rest| rest.starts_with(|c: char| c.is_ascii_whitespace()))?;
    Some(std::iter::from_fn(move || {
        let (name, after) = rest.split_once('=')?;
        if name.contains('>') {
            return None;
        }
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = after[1..].split_once(quote)?;
        rest = after;
        Some((name.trim(), value))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_svg_has_the_size_that_it_says() {
        for (tag, want) in [
            ("<svg width='20' height=\"10px\">", Some((20, 10))),
            ("<?xml version='1.0'?>\n<!-- <svg width='1' height='1'> -->\n<svg\n width='3' height='4'>", Some((3, 4))),
            ("<!DOCTYPE svg [ <!ENTITY a '<svg>'> ]><svg width='3' height='4'>", Some((3, 4))),
            ("<!DOCTYPE svg PUBLIC 'a' 'b'><svg width='3' height='4'>", Some((3, 4))),
            ("<svg width='20' viewBox='0,0 40 20'/>", Some((20, 10))),
            ("<svg height='20' viewBox='0 0 40 20'/>", Some((40, 20))),
            ("<svg data-a='>' width='20' height='10'/>", Some((20, 10))),
            // It fills its container.
            ("<svg viewBox='0 0 40 20'>", None),
            ("<svg width='100%' height='10' viewBox='0 0 40 20'>", None),
            ("<svg width='2em' height='1em'>", None),
            ("<svg width='20.5' height='10'>", None),
            ("<svg width='20' viewBox='0 0 3 1'>", None),
            ("<svg width='0' height='0'>", None),
            ("<svg><rect width='1' height='1'/></svg>", None),
            ("<html width='1' height='1'>", None),
            ("<svg width='20", None),
            ("", None),
        ] {
            assert_eq!(svg_size(tag), want, "{tag}");
        }
    }

    /// A JPEG of 3 by 2 pixels, turned as Exif says, up to where its size stands.
    fn jpeg(tiff: &[u8]) -> Vec<u8> {
        let exif = [b"Exif\0\0", tiff].concat();
        let length = (exif.len() as u16 + 2).to_be_bytes();
        [b"\xff\xd8\xff\xe1", &length[..], &exif, b"\xff\xc0\0\x11\x08\0\x02\0\x03\x03\0\0\0\0\0\0\0\0\0"].concat()
    }

    #[test]
    fn a_photograph_is_as_wide_as_it_is_shown() {
        let big = |value: u8| [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[value][..], b"\0\0"].concat();
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0";
        assert_eq!(size("a.jpg", &jpeg(&big(1))), Some((3, 2)));
        assert_eq!(size("a.jpg", &jpeg(&big(3))), Some((3, 2)), "upside down");
        assert_eq!(size("a.jpg", &jpeg(&big(6))), Some((2, 3)), "on its side");
        assert_eq!(size("a.jpg", &jpeg(little)), Some((2, 3)));
        assert_eq!(size("a.jpg", &jpeg(b"MM\0*\xff\xff\xff\xff")), Some((3, 2)), "a directory that isn't there");
        assert_eq!(size("a.jpg", b"not an image"), None);
    }
}
