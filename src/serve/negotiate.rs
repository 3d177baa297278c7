//! Content negotiation: which content codings a client accepts, and how much it likes each (RFC 9110 section 12.5.3).

use super::asked::Asked;
use super::resource::{Representation, Resource};
use crate::encoding::Encoding;

/// A weight in ten-thousandths, so that there is room below the least that a client can write, `q=0.001`.
type Weight = u16;

const UNACCEPTABLE: Weight = 0;
/// Of the identity where nothing is said of it: acceptable, but only where nothing that was asked for is there.
const LAST_RESORT: Weight = 1;
const FULL: Weight = 10_000;

/// What `Accept-Encoding` says of each coding that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    brotli: Weight,
    zstd: Weight,
    gzip: Weight,
    identity: Weight,
}

impl Accepted {
    /// Reads all the lines of the field; what is malformed in them is passed over.
    ///
    /// Without the field any coding would do, by the letter. Clients that leave it out don't decode any, so they get the identity.
    pub fn of(asked: &Asked<'_>) -> Self {
        let (mut brotli, mut zstd, mut gzip, mut identity, mut any) = (None, None, None, None, None);
        for part in asked.accept_encoding.iter().flat_map(|line| line.split(|byte| *byte == b',')) {
            let Some((coding, weight)) = weighted(part) else { continue };
            let is = |token: &str| coding.eq_ignore_ascii_case(token.as_bytes());
            let slot = match () {
                () if is("br") => &mut brotli,
                () if is("zstd") => &mut zstd,
                // RFC 9110 section 8.4.1.3: `x-gzip` is the same.
                () if is("gzip") || is("x-gzip") => &mut gzip,
                () if is("identity") => &mut identity,
                () if is("*") => &mut any,
                () => continue,
            };
            *slot = Some(weight);
        }
        let coding = |own: Option<Weight>| own.or(any).unwrap_or(UNACCEPTABLE);
        Accepted {
            brotli: coding(brotli),
            zstd: coding(zstd),
            gzip: coding(gzip),
            identity: identity.or(any).unwrap_or(LAST_RESORT),
        }
    }

    /// As [`Accepted::select`]. Who says nothing gets what is in no coding.
    pub(super) fn selected<'a>(asked: &Asked<'_>, resource: &'a Resource) -> Option<Representation<'a>> {
        match asked.accept_encoding.is_empty() {
            true => Some(resource.identity()),
            false => Accepted::of(asked).select(resource),
        }
    }

    /// The representation that the client likes best, the preferred one among equals; `None` if it accepts none (406).
    pub(super) fn select<'a>(&self, resource: &'a Resource) -> Option<Representation<'a>> {
        let mut best = None;
        let mut most = UNACCEPTABLE;
        for encoding in resource.encodings() {
            let weight = self.weight(encoding);
            if weight > most {
                (best, most) = (Some(encoding), weight);
            }
        }
        resource.representation(best?)
    }

    /// The coding of these that the client likes best, the first among equals; none if it likes what is in no coding better.
    pub fn best_of(&self, offered: &[Encoding]) -> Option<Encoding> {
        let wanted = offered.iter().map(|encoding| (self.weight(Some(*encoding)), *encoding));
        let wanted = wanted.filter(|(weight, _)| *weight > UNACCEPTABLE && *weight >= self.identity);
        wanted.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, encoding)| encoding)
    }

    fn weight(&self, encoding: Option<Encoding>) -> Weight {
        match encoding {
            Some(Encoding::Brotli) => self.brotli,
            Some(Encoding::Zstd) => self.zstd,
            Some(Encoding::Gzip) => self.gzip,
            None => self.identity,
        }
    }
}

/// `gzip`, or `gzip;q=0.5` with optional white space round the `;`.
fn weighted(part: &[u8]) -> Option<(&[u8], Weight)> {
    let mut pieces = part.splitn(2, |byte| *byte == b';');
    let coding = pieces.next()?.trim_ascii();
    let weight = match pieces.next().map(<[u8]>::trim_ascii) {
        None => FULL,
        Some([b'q' | b'Q', b'=', value @ ..]) => qvalue(value)?,
        Some(_) => return None,
    };
    (!coding.is_empty()).then_some((coding, weight))
}

/// RFC 9110 section 12.4.2: `0` or `1`, and up to three decimals.
fn qvalue(text: &[u8]) -> Option<Weight> {
    let (whole, decimals) = match text {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut weight = match whole {
        b'0' => 0,
        b'1' => FULL,
        _ => return None,
    };
    let mut unit = FULL / 10;
    for digit in decimals {
        weight += Weight::from(char::from(*digit).to_digit(10)? as u8) * unit;
        unit /= 10;
    }
    (weight <= FULL).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Digest;
    use bytes::Bytes;
    use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
    use proptest::prelude::*;

    fn resource(encodings: &[Encoding]) -> Resource {
        let resource = Resource::new(&Digest::of(b""), HeaderMap::new(), Bytes::new());
        encodings.iter().fold(resource, |resource, e| resource.variant(*e, Bytes::new()))
    }

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let lines = lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok());
        lines.map(|line| (ACCEPT_ENCODING, line)).collect()
    }

    fn token(representation: Option<Representation>) -> &'static str {
        match representation {
            Some(representation) => representation.encoding.map_or("identity", Encoding::token),
            None => "406",
        }
    }

    fn select(lines: &[&str], encodings: &[Encoding]) -> &'static str {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        token(Accepted::of(&Asked::of(&headers(&lines))).select(&resource(encodings)))
    }

    #[test]
    fn the_heaviest_wins_and_equals_go_by_preference() {
        for (line, want) in [
            ("gzip, deflate, br, zstd", "br"),
            ("gzip, deflate", "gzip"),
            ("GZIP", "gzip"),
            ("x-gzip", "gzip"),
            ("gzip;q=1.0, br;q=0.9", "gzip"),
            ("br;q=0.5, zstd;q=0.501", "zstd"),
            ("gzip ; q=0.5\t,br; Q=0.4", "gzip"),
            ("br;q=0", "identity"),
            ("br;q=0.000, gzip;q=0.001", "gzip"),
            ("identity, br;q=0.5", "identity"),
            ("identity;q=0.5, br;q=0.5", "br"),
            ("*", "br"),
            ("br;q=0, *", "zstd"),
            ("*;q=0.5, gzip", "gzip"),
            ("gzip;q=0.5, *;q=0.8", "br"),
            ("*;q=0", "406"),
            ("*;q=0, identity;q=0.1", "identity"),
            ("identity;q=0", "406"),
            ("identity;q=0, gzip", "gzip"),
            ("deflate", "identity"),
            ("", "identity"),
        ] {
            assert_eq!(select(&[line], &Encoding::ALL), want, "{line}");
        }
        assert_eq!(select(&[], &Encoding::ALL), "identity");
    }

    #[test]
    fn only_what_is_there_is_selected() {
        assert_eq!(select(&["br, gzip;q=0.1"], &[Encoding::Gzip]), "gzip");
        assert_eq!(select(&["br"], &[]), "identity");
        assert_eq!(select(&["br, identity;q=0"], &[Encoding::Gzip]), "406");
        assert_eq!(select(&["gzip;q=0.5, *;q=0.8"], &[Encoding::Gzip]), "identity", "`*` names it too");
    }

    #[test]
    fn several_lines_are_one_list() {
        assert_eq!(select(&["gzip;q=0.5", "zstd"], &Encoding::ALL), "zstd");
        assert_eq!(select(&["gzip", "identity;q=0"], &[Encoding::Brotli]), "406");
    }

    #[test]
    fn what_is_malformed_is_passed_over() {
        for line in [
            "br;q=2, gzip",
            "br;q=1.001, gzip",
            "br;q=0.1234, gzip",
            "br;q=, gzip",
            "br;q=-1, gzip",
            "br;level=11, gzip",
            "br;q=1;q=1, gzip",
            ",, ;q=1, gzip,",
            "br br, gzip",
        ] {
            assert_eq!(select(&[line], &Encoding::ALL), "gzip", "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_client_sends_is_an_error(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4)) {
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            Accepted::of(&Asked::of(&headers(&lines))).select(&resource(&Encoding::ALL));
        }

        #[test]
        fn the_selected_one_is_among_the_heaviest(weights in prop::array::uniform4(0u16..=1000)) {
            let tokens = ["br", "zstd", "gzip", "identity"];
            let parts: Vec<String> = tokens
                .iter()
                .zip(weights)
                .map(|(token, w)| format!("{token};q={}.{:03}", w / 1000, w % 1000))
                .collect();
            let got = select(&[&parts.join(", ")], &Encoding::ALL);
            let most = weights.into_iter().max().unwrap();
            let want = match most {
                0 => "406",
                _ => tokens[weights.iter().position(|w| *w == most).unwrap()],
            };
            prop_assert_eq!(got, want);
        }
    }
}
