//! One line of an access log. What a client sent can't end the line, nor close a quote: CWE-117.

use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{HOST, REFERER, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Version};
use serde::Serialize;

use super::client::Proxies;
use super::peer::Peer;
use super::unheard::Unheard;
use crate::config::LogFormat;
use crate::date::Date;

/// What is known of a request and its answer.
#[derive(Debug, Clone)]
pub struct Record {
    pub time: SystemTime,
    pub client: Option<IpAddr>,
    pub is_secure: bool,
    /// None of what was no request.
    pub method: Option<Method>,
    pub target: Option<PathAndQuery>,
    pub version: Version,
    pub host: Option<HeaderValue>,
    pub referer: Option<HeaderValue>,
    pub user_agent: Option<HeaderValue>,
    pub status: u16,
    pub kind: &'static str,
    pub encoding: Option<HeaderValue>,
    /// Bytes of the body that were handed to the connection.
    pub bytes: u64,
    /// From the request's head to the last byte of the answer handed to the connection.
    pub took: Duration,
    pub release: Option<String>,
}

impl Record {
    /// What a request says of itself; the answer's fields are still to be filled in.
    pub fn of<B>(request: &Request<B>, peer: Option<Peer>, proxies: &Proxies) -> Self {
        let header = |name| request.headers().get(name).cloned();
        let client = proxies.client(peer, request.headers());
        let authority = || HeaderValue::from_str(request.uri().authority()?.as_str()).ok();
        Record {
            time: SystemTime::now(),
            client: client.address,
            is_secure: client.is_secure,
            method: Some(request.method().clone()),
            target: request.uri().path_and_query().cloned(),
            version: request.version(),
            host: client
                .host
                .and_then(|host| HeaderValue::try_from(host).ok())
                .or_else(authority)
                .or_else(|| header(HOST)),
            referer: header(REFERER),
            user_agent: header(USER_AGENT),
            status: 0,
            kind: "",
            encoding: None,
            bytes: 0,
            took: Duration::ZERO,
            release: None,
        }
    }

    /// Of what was refused before it was a request.
    pub fn unheard(unheard: &Unheard, peer: Option<Peer>) -> Self {
        Record {
            time: SystemTime::now(),
            client: peer.map(|peer| peer.address.ip().to_canonical()),
            is_secure: peer.is_some_and(|peer| peer.is_tls),
            method: None,
            target: None,
            version: unheard.version,
            host: None,
            referer: None,
            user_agent: None,
            status: unheard.status.as_u16(),
            kind: "error",
            encoding: None,
            bytes: 0,
            took: unheard.took,
            release: None,
        }
    }

    fn target(&self) -> &str {
        self.target.as_ref().map_or("-", PathAndQuery::as_str)
    }
}

/// Writes a line with its end.
pub fn write_line(out: &mut Vec<u8>, format: LogFormat, record: &Record, clock: &mut Clock) {
    let date = clock.read(record.time);
    // Writing to a vector never fails.
    let _ = match format {
        LogFormat::Combined => combined(out, record, date),
        LogFormat::Json => json(out, record, date),
    };
    out.push(b'\n');
}

/// <https://httpd.apache.org/docs/2.4/logs.html#combined>
fn combined(out: &mut Vec<u8>, record: &Record, date: Date) -> std::io::Result<()> {
    match record.client {
        Some(client) => write!(out, "{client}")?,
        None => out.push(b'-'),
    }
    let Date { year, month, day, hour, minute, second, .. } = date;
    let month = MONTHS.get(usize::from(month).saturating_sub(1)).unwrap_or(&"-");
    write!(out, " - - [{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000] \"")?;
    match &record.method {
        Some(method) => {
            quote(out, method.as_str().as_bytes());
            out.push(b' ');
            quote(out, record.target().as_bytes());
            write!(out, " {}", version(record.version))?;
        }
        None => out.push(b'-'),
    }
    write!(out, "\" {} ", record.status)?;
    match record.bytes {
        0 => out.push(b'-'),
        bytes => write!(out, "{bytes}")?,
    }
    for value in [&record.referer, &record.user_agent] {
        out.extend_from_slice(b" \"");
        quote(out, value.as_ref().map_or(b"-", HeaderValue::as_bytes));
        out.push(b'"');
    }
    Ok(())
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// As Apache writes what came from outside since 2.0.46 (CVE-2003-0020): nothing but printable ASCII, quotes and backslashes escaped.
fn quote(out: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => {
                let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).map_or(b'0', |digit| digit as u8);
                out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/3.0",
    }
}

#[derive(Serialize)]
struct Json<'a> {
    time: String,
    client: Option<IpAddr>,
    scheme: &'static str,
    method: Option<&'a str>,
    target: Option<&'a str>,
    version: &'static str,
    status: u16,
    bytes: u64,
    seconds: f64,
    kind: &'static str,
    encoding: Option<String>,
    host: Option<String>,
    referer: Option<String>,
    user_agent: Option<String>,
    release: Option<&'a str>,
}

fn json(out: &mut Vec<u8>, record: &Record, date: Date) -> std::io::Result<()> {
    let text = |value: &Option<HeaderValue>| value.as_ref().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let millis = date.millis;
    let line = Json {
        time: format!("{date}.{millis:03}Z"),
        client: record.client,
        scheme: if record.is_secure { "https" } else { "http" },
        method: record.method.as_ref().map(Method::as_str),
        target: record.method.as_ref().map(|_| record.target()),
        version: version(record.version),
        status: record.status,
        bytes: record.bytes,
        seconds: record.took.as_micros() as f64 / 1e6,
        kind: record.kind,
        encoding: text(&record.encoding),
        host: text(&record.host),
        referer: text(&record.referer),
        user_agent: text(&record.user_agent),
        release: record.release.as_deref(),
    };
    Ok(serde_json::to_writer(out, &line)?)
}

/// Tells the date of a time, and remembers that of the last one, as most follow within its second.
#[derive(Debug, Default)]
pub struct Clock {
    last: Option<(u64, Date)>,
}

impl Clock {
    fn read(&mut self, time: SystemTime) -> Date {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs();
        let date = match self.last {
            Some((last, date)) if last == second => date,
            _ => Date::of(time),
        };
        self.last = Some((second, date));
        Date { millis: u16::try_from(since.subsec_millis()).unwrap_or(0), ..date }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::fixture::record;
    use proptest::prelude::*;

    fn line(format: LogFormat, record: &Record) -> String {
        let mut out = Vec::new();
        write_line(&mut out, format, record, &mut Clock::default());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_combined_format_is_apaches() {
        assert_eq!(
            line(LogFormat::Combined, &record()),
            "127.0.0.1 - - [09/Sep/2001:01:46:40 +0000] \"GET /css/a.css?x=1 HTTP/1.1\" 200 2326 \"-\" \"curl/8\"\n"
        );
        let nothing = Record { bytes: 0, client: None, version: Version::HTTP_2, ..record() };
        assert_eq!(
            line(LogFormat::Combined, &nothing),
            "- - - [09/Sep/2001:01:46:40 +0000] \"GET /css/a.css?x=1 HTTP/2.0\" 200 - \"-\" \"curl/8\"\n"
        );
    }

    #[test]
    fn json_has_what_combined_has_no_place_for() {
        assert_eq!(
            line(LogFormat::Json, &record()),
            "{\"time\":\"2001-09-09T01:46:40.250Z\",\"client\":\"127.0.0.1\",\"scheme\":\"https\",\"method\":\"GET\",\
             \"target\":\"/css/a.css?x=1\",\"version\":\"HTTP/1.1\",\"status\":200,\"bytes\":2326,\"seconds\":0.0015,\
             \"kind\":\"asset\",\"encoding\":\"br\",\"host\":\"a.example\",\"referer\":null,\"user_agent\":\"curl/8\",\
             \"release\":\"0123456789abcdef\"}\n"
        );
    }

    #[test]
    fn what_was_no_request_has_no_line_to_show() {
        let unheard = Unheard {
            status: http::StatusCode::BAD_REQUEST,
            version: Version::HTTP_11,
            took: Duration::from_millis(20),
        };
        let record = Record { time: record().time, ..Record::unheard(&unheard, None) };
        assert_eq!(line(LogFormat::Combined, &record), "- - - [09/Sep/2001:01:46:40 +0000] \"-\" 400 - \"-\" \"-\"\n");
        let json = line(LogFormat::Json, &record);
        assert!(json.contains("\"method\":null,\"target\":null,\"version\":\"HTTP/1.1\",\"status\":400,"), "{json}");
    }

    #[test]
    fn a_client_can_not_write_lines_of_its_own() {
        let evil = HeaderValue::from_static(r#"x" 200 1 "-" "\"#);
        let evil = Record { user_agent: Some(evil), ..record() };
        let text = line(LogFormat::Combined, &evil);
        assert!(text.ends_with(concat!(r#" 200 2326 "-" "x\" 200 1 \"-\" \"\\""#, "\n")), "{text}");
        let mut out = Vec::new();
        quote(&mut out, b"a\"\\\x1b\r\n\t\x7f\xff~ ");
        assert_eq!(out, br#"a\"\\\x1b\x0d\x0a\x09\x7f\xff~ "#);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_stays_within_its_quotes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            let record = Record { user_agent: Some(value.clone()), referer: Some(value), ..record() };
            let text = line(LogFormat::Combined, &record);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\n'));
            prop_assert_eq!(text.matches('\n').count(), 1);
            // Three pairs of quotes, and every other one is escaped.
            let unescaped = text.replace("\\\\", "").replace("\\\"", "");
            prop_assert_eq!(unescaped.matches('"').count(), 6);
            let text = line(LogFormat::Json, &record);
            prop_assert_eq!(text.matches('\n').count(), 1);
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(parsed["user_agent"].as_str().unwrap(), String::from_utf8_lossy(&bytes));
        }
    }
}
