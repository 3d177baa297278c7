//! Messages: where they end, and what of them is passed on.

use http::header::{CONNECTION, HeaderMap, TE};

use super::fields;
use crate::serve::connection::framing::Framing;
use crate::serve::upstream::fields::{end_of_hop, upgrade};

/// Where each request of a connection ends: the same in whatever pieces it comes, and where a reader of whole heads says that it does.
/// Nothing is lost of what is spoiled.
pub fn framing(data: &[u8]) {
    let follow = |size: usize| {
        let (mut bytes, mut framing) = (data.to_vec(), Framing::default());
        bytes.chunks_mut(size).for_each(|piece| framing.follow(piece));
        let passed = bytes.clone();
        framing.restore(&mut bytes);
        assert_eq!(bytes, data, "in pieces of {size}");
        (passed, framing.requests())
    };
    let (passed, requests) = follow(data.len().max(1));
    for size in [1, 2, 7] {
        assert!(follow(size) == (passed.clone(), requests), "in pieces of {size}");
    }
    let sound = passed.iter().zip(data).take_while(|(passed, sent)| passed == sent).count();
    let (mut rest, mut framing, mut count) = (&passed[..sound], Framing::default(), 0);
    while let Some(length) = message(rest) {
        let (message, others) = rest.split_at(length);
        framing.follow(&mut message.to_vec());
        count += 1;
        assert!(framing.is_between() && framing.requests() == count, "after {:?}", String::from_utf8_lossy(message));
        rest = others;
    }
    assert!(count <= requests);
}

/// How long the request is that the bytes begin with; none if it is not whole, or no request.
fn message(bytes: &[u8]) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(head)) = request.parse(bytes) else { return None };
    let lines: Vec<&[u8]> = bytes[..head].split_inclusive(|byte| *byte == b'\n').collect();
    assert!(lines.iter().all(|line| line.ends_with(b"\r\n")), "a line ends in one way");
    let of = |name: &str| {
        let fields = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        fields.map(|field| field.value).collect::<Vec<_>>()
    };
    let (lengths, codings) = (of("content-length"), of("transfer-encoding"));
    assert!(lengths.len() + codings.len() <= 1, "it ends in one way");
    let body = match (lengths.first(), codings.first()) {
        (Some(length), _) => str::from_utf8(length).ok()?.parse().ok()?,
        (_, Some(coding)) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked"), "nothing else is undone");
            chunks(bytes.get(head..)?)?
        }
        (None, None) => 0,
    };
    bytes.len().checked_sub(head).filter(|rest| *rest >= body).map(|_| head + body)
}

/// How long a body in chunks is, with its trailers (RFC 9112 section 7.1).
fn chunks(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).filter(|rest| rest.first().is_some_and(u8::is_ascii_hexdigit))?;
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(rest) else { return None };
        at += line;
        if size == 0 {
            break;
        }
        at = at.checked_add(usize::try_from(size).ok()?)?;
        if !bytes.get(at..)?.starts_with(b"\r\n") {
            return None;
        }
        at += 2;
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    match httparse::parse_headers(bytes.get(at..)?, &mut fields) {
        Ok(httparse::Status::Complete((trailers, _))) => Some(at + trailers),
        _ => None,
    }
}

/// The fields of a message that is passed on, in lines: what is about its connection stays, with what `Connection` names; the rest goes on
/// as it is, and so does what says where the message ends and whom it is for.
pub fn hop(data: &[u8]) {
    const OF_HOP: [&str; 7] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ];
    const KEPT: [&str; 3] = ["content-length", "host", "close"];
    let before: HeaderMap = fields(data.split(|byte| *byte == b'\n')).collect();
    let named: Vec<&[u8]> = before
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let is_named = |name: &str| named.iter().any(|token| token.eq_ignore_ascii_case(name.as_bytes()));
    let mut after = before.clone();
    end_of_hop(&mut after);
    for name in before.keys() {
        let is_gone = match name.as_str() {
            // It is made anew of what it says.
            "te" => continue,
            name => OF_HOP.contains(&name) || (is_named(name) && !KEPT.contains(&name)),
        };
        match is_gone {
            true => assert!(!after.contains_key(name), "{name}"),
            false => assert!(after.get_all(name).iter().eq(before.get_all(name)), "{name}"),
        }
    }
    assert!(after.keys().all(|name| before.contains_key(name)));
    assert!(after.get_all(TE).iter().all(|value| value == "trailers"));
    assert!(upgrade(&before).is_none() || is_named("upgrade"));
    let mut again = after.clone();
    end_of_hop(&mut again);
    assert_eq!(again, after);
}
