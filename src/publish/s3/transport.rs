//! The connections that requests go over. To read whom the system trusts takes longer than all else that is done before a first request, and
//! the SDK does that for each client that it makes, and for each place where credentials may be. Here it waits until somebody speaks TLS.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// Where a proxy is told of; which of them counts is for [`ProxyConfig`] to say.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// A client that makes nothing before it is asked for a connection: it leaves out the look whether it could.
#[derive(Debug)]
struct Lazy(SharedHttpClient);

impl HttpClient for Lazy {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

/// The SDK's own client, but for the time when it is made.
pub fn any() -> impl HttpClient + 'static {
    Lazy(Builder::new().build_with_connector_fn(|settings, components| {
        let connector = connector(settings, components).tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.proxy_config(ProxyConfig::from_env()).build()
    }))
}

/// One that can't speak TLS, for a store that is spoken to in the clear; none for others, or behind a proxy.
pub fn clear(endpoint: &str) -> Option<impl HttpClient + 'static> {
    let is_clear = endpoint.starts_with("http://") && PROXIES.iter().all(|name| std::env::var_os(name).is_none());
    let make = |settings: Option<&_>, components: Option<&_>| connector(settings, components).build_http();
    is_clear.then(|| Builder::new().build_with_connector_fn(make))
}

fn connector(settings: Option<&HttpConnectorSettings>, components: Option<&RuntimeComponents>) -> ConnectorBuilder {
    let mut connector = ConnectorBuilder::default();
    connector.set_connector_settings(settings.cloned());
    connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
    connector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_the_clear_goes_without_trust() {
        // With a proxy, none does.
        let has_none = PROXIES.iter().all(|name| std::env::var_os(name).is_none());
        assert_eq!(clear("http://127.0.0.1:9000").is_some(), has_none);
        assert!(clear("https://s3.example.com").is_none());
    }
}
