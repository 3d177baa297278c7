//! Requests to a store that is spoken to in the clear, by a client that has not to know whom to trust: to read the system's certificates
//! takes longer than all else that is done before the first request.

use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// Where a proxy is told of; which of them counts, the SDK's own client knows.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// None for a store behind TLS, or behind a proxy.
pub fn client(endpoint: &str) -> Option<SharedHttpClient> {
    let is_clear = endpoint.starts_with("http://") && PROXIES.iter().all(|name| std::env::var_os(name).is_none());
    is_clear.then(|| {
        Builder::new().build_with_connector_fn(|settings, components| {
            let mut connector = ConnectorBuilder::default();
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
            connector.build_http()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_the_clear_goes_without_trust() {
        // With a proxy, none does.
        let has_none = PROXIES.iter().all(|name| std::env::var_os(name).is_none());
        assert_eq!(client("http://127.0.0.1:9000").is_some(), has_none);
        assert!(client("https://s3.example.com").is_none());
    }
}
