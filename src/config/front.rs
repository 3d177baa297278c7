//! Of `[serve]`: which environment a request is for, and whose word is taken for where it comes from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Text, file, nearest, quoted};
use crate::environment::Environment;
use crate::error::Fault;

/// In which headers proxies say whom they speak for. One kind alone is read: the other may have come through a proxy that doesn't
/// know it, from whoever wrote it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeaders {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What is known of what stands before the server, and whom it serves.
#[derive(Debug, Clone)]
pub struct Front {
    pub unknown_host: UnknownHost,
    /// Where proxies stand whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    pub proxy_headers: ProxyHeaders,
    /// The server's name in `CDN-Loop` (RFC 8586 section 2).
    pub cdn_id: String,
}

/// What becomes of a request whose host is no environment's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownHost {
    /// It gets the environment of that name.
    Environment(String),
    /// It is answered 421 (RFC 9110 section 15.5.20).
    Refuse,
}

pub(super) fn resolve(
    text: &Text,
    serve: &file::Serve,
    environments: &BTreeMap<String, Environment>,
) -> Result<Front, Fault> {
    let mut taken = BTreeMap::new();
    for (environment, host) in environments.values().flat_map(|env| env.hosts.iter().map(move |host| (env, host))) {
        if let Some(other) = taken.insert(host, &environment.name) {
            return Err(text
                .fault_again(
                    format!("two environments have the host `{host}`: `{other}` and `{}`", environment.name),
                    host,
                )
                .hint("let one of them have it"));
        }
    }
    let unknown_host = match serve.unknown_host.as_deref() {
        None => UnknownHost::Environment("development".to_owned()),
        Some("refuse") => UnknownHost::Refuse,
        Some(name) if environments.contains_key(name) => UnknownHost::Environment(name.to_owned()),
        Some(name) => {
            let names: Vec<&str> = environments.keys().map(String::as_str).chain(["refuse"]).collect();
            let hint = match nearest(name, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {}", quoted(&names)),
            };
            return Err(text.fault(format!("there is no environment `{name}`"), name).hint(hint));
        }
    };
    let network = |written: &String| {
        let parsed = written.parse().or_else(|_| written.parse::<IpAddr>().map(IpNet::from));
        parsed.map_err(|_| {
            text.fault(format!("`{written}` is no network"), written).hint("write one such as `10.0.0.0/8` or `::1`")
        })
    };
    let cdn_id = serve.cdn_id.clone().unwrap_or_else(|| "fingerpost".to_owned());
    // The pseudonym of RFC 8586 section 2 is a token, and a host with a port is of the same characters and a few more.
    if cdn_id.is_empty() || !cdn_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte)) {
        return Err(text
            .fault(format!("`{cdn_id}` is no name for `CDN-Loop`"), &cdn_id)
            .hint("write a word or a host, such as `edge1.example.com`"));
    }
    let trusted_proxies = serve.trusted_proxies.iter().map(network).collect::<Result<_, _>>()?;
    let refuses_all = unknown_host == UnknownHost::Refuse && taken.is_empty();
    if refuses_all {
        return Err(text
            .fault("`unknown_host` refuses every host: no environment has any", "refuse")
            .hint("give one of them `hosts`, such as `hosts = [\"www.example.com\"]`"));
    }
    Ok(Front { unknown_host, trusted_proxies, proxy_headers: serve.proxy_headers, cdn_id })
}

/// A host as it is compared: in lower case, without a port.
pub fn host(text: &Text, written: &str) -> Result<String, Fault> {
    let name = written.strip_prefix("*.").unwrap_or(written);
    let is_address =
        name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|v6| v6.parse::<IpAddr>().is_ok());
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    match is_address || is_name && !name.starts_with('.') && !name.ends_with('.') {
        true => Ok(written.to_ascii_lowercase()),
        false => Err(text
            .fault(format!("`{written}` is no host"), written)
            .hint("write a name without scheme and port, such as `www.example.com` or `*.example.com`")),
    }
}
