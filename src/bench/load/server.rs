//! Whom load is put on. A name is resolved, and a certificate looked at, once and before any load.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{AlertDescription, CertificateError, ClientConfig, Error as TlsError};

use super::Connection;
use crate::bench::report::Missing;
use crate::client;

/// For a name to be resolved, and for an address to be connected to.
const PATIENCE: Duration = Duration::from_secs(5);

/// The only protocol that is spoken over TLS (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// A server that is asked.
#[derive(Debug, Clone)]
pub struct Server {
    pub address: SocketAddr,
    /// None where it speaks plain HTTP.
    pub tls: Option<Tls>,
}

/// How it is spoken to over TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    pub name: ServerName<'static>,
    pub config: Arc<ClientConfig>,
}

impl Server {
    pub fn plain(address: SocketAddr) -> Self {
        Server { address, tls: None }
    }

    pub fn over_tls(address: SocketAddr, name: ServerName<'static>, mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![ALPN.to_vec()];
        Server { address, tls: Some(Tls { name, config: Arc::new(config) }) }
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        let same_name = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some(own), Some(other)) => own.name == other.name,
            _ => false,
        };
        self.address == other.address && same_name
    }
}

/// What of a URL says which server it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub is_tls: bool,
    /// In lower case; an address of IPv6 is without its brackets.
    pub host: String,
    pub port: u16,
}

/// A server that was found at its origin.
#[derive(Debug, Clone)]
pub struct Reached {
    pub origin: Origin,
    pub server: Arc<Server>,
    /// Of the certificate that was looked at: the SHA-256 of its public key, in base64.
    pub key: Option<String>,
}

impl Origin {
    /// None of what is no URL of HTTP.
    pub fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host()?.trim_matches(['[', ']']).to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        (!host.is_empty()).then_some(Origin { is_tls, host, port })
    }

    /// Whether all that its name leads to is this machine.
    pub fn is_here(&self) -> bool {
        let found = std::net::ToSocketAddrs::to_socket_addrs(&(self.host.as_str(), self.port));
        found.is_ok_and(|all| is_here(&all.collect::<Vec<_>>()))
    }

    /// Connects to the first of its addresses that lets us. Who may not go beyond this machine doesn't, wherever the name leads by now.
    pub async fn reach(&self, allow_remote: bool) -> Result<Reached, Missing> {
        let place = self.place();
        let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((self.host.as_str(), self.port))).await;
        let addresses: Vec<SocketAddr> = match found {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => return Err(no_host(&self.host, &error.to_string())),
            Err(_) => return Err(no_host(&self.host, "nobody who knows names answers")),
        };
        if !allow_remote && !is_here(&addresses) {
            return Err(Missing {
                reason: format!("`{}` is not on this machine, and the bench would send load there", self.host),
                remedy: "if the machine is yours to load, say so with `--allow-remote`".to_owned(),
            });
        }
        let mut failure = io::Error::other("it has no address");
        for address in addresses {
            let server = self.server(address)?;
            match tokio::time::timeout(PATIENCE, Connection::to(&server)).await {
                Ok(Ok(connection)) => {
                    let key = connection.key();
                    return Ok(Reached { origin: self.clone(), server: Arc::new(server), key });
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::Error::other(format!("{address} does not answer")),
            }
        }
        Err(Missing {
            reason: format!("`{place}` can't be spoken to: {}", client::reason(&failure)),
            remedy: remedy(&failure).to_owned(),
        })
    }

    fn server(&self, address: SocketAddr) -> Result<Server, Missing> {
        if !self.is_tls {
            return Ok(Server::plain(address));
        }
        let wrong = |reason: String| Missing {
            reason: format!("`{}` can't be spoken to: {reason}", self.place()),
            remedy: "check the URL".to_owned(),
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| wrong(error.to_string()))?;
        let config = client::tls().map_err(|error| wrong(error.to_string()))?;
        Ok(Server::over_tls(address, name, config))
    }

    /// As it is written in a URL, without a port that goes without saying.
    fn place(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.is_tls, self.port) {
            (true, 443) => format!("https://{host}"),
            (false, 80) => format!("http://{host}"),
            (true, port) => format!("https://{host}:{port}"),
            (false, port) => format!("http://{host}:{port}"),
        }
    }
}

fn is_here(addresses: &[SocketAddr]) -> bool {
    !addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback())
}

fn no_host(host: &str, why: &str) -> Missing {
    Missing { reason: format!("`{host}` is not found: {why}"), remedy: "check its name, and the network".to_owned() }
}

fn remedy(error: &io::Error) -> &'static str {
    let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>()) else {
        return "see that it runs, and that this machine reaches it";
    };
    match error {
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "renew its certificate"
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "write the URL with a name that its certificate is for",
        TlsError::InvalidCertificate(_) => {
            "name the authority that its certificate is of, or the certificate itself if it is its own (PEM), in `SSL_CERT_FILE`; \
             the browser takes over what is trusted so"
        }
        TlsError::InvalidMessage(_) => "it does not speak TLS there: write `http://`, or its TLS port",
        TlsError::NoApplicationProtocol | TlsError::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "let it speak HTTP/1.1 over TLS 1.2 or 1.3, as the load does"
        }
        _ => "see that it speaks TLS 1.2 or 1.3",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_which_server_it_is() {
        let origin = |is_tls, host: &str, port| Some(Origin { is_tls, host: host.to_owned(), port });
        for (url, want) in [
            ("https://Staging.Example.com/a?b", origin(true, "staging.example.com", 443)),
            ("http://127.0.0.1:8000", origin(false, "127.0.0.1", 8000)),
            ("http://[::1]/", origin(false, "::1", 80)),
            ("ftp://host/", None),
            ("/path", None),
            ("http://", None),
        ] {
            assert_eq!(Origin::of(url), want, "{url}");
        }
    }

    #[test]
    fn only_this_machine_is_here() {
        for (url, here) in [
            ("http://127.0.0.1:8000", true),
            ("http://[::1]:8000/", true),
            ("https://localhost", true),
            ("http://192.0.2.1/", false),
            ("https://no-such-host.invalid", false),
        ] {
            assert_eq!(Origin::of(url).unwrap().is_here(), here, "{url}");
        }
    }

    #[tokio::test]
    async fn nobody_is_reached_beyond_this_machine_without_leave() {
        let refused = Origin::of("http://192.0.2.1:9/").unwrap().reach(false).await.unwrap_err();
        assert!(refused.reason.contains("not on this machine"), "{refused:?}");
        let nobody = crate::bench::process::free_address().unwrap();
        let absent = Origin::of(&format!("http://{nobody}/")).unwrap().reach(false).await.unwrap_err();
        assert!(absent.reason.starts_with(&format!("`http://{nobody}` can't be spoken to")), "{absent:?}");
        assert!(absent.remedy.contains("see that it runs"), "{absent:?}");
    }
}
