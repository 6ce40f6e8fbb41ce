//! Requests to other paths, as if they were sent to a gateway's own address.

use http::Uri;
use http::request::Parts;
use mcp_orchestrator_core::id::GatewayId;

/// Returns the request as if it was sent to the gateway: a token may be valid for only one of several gateways. The query
/// is dropped.
///
/// The host stays where the request has it: in the header `Host`, or, over HTTP/2, in the URI. A request to the gateway
/// itself has it in the same place, so authenticators see no difference.
pub(crate) fn to_gateway(parts: &Parts, gateway: &GatewayId) -> Parts {
    let mut parts = parts.clone();
    let path = if *gateway == GatewayId::default_gateway() {
        "/mcp".to_owned()
    } else {
        format!("/mcp/{gateway}")
    };
    let mut uri = parts.uri.into_parts();
    uri.path_and_query = path.parse().ok();
    parts.uri = Uri::from_parts(uri).unwrap_or_default();
    parts
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::{AUTHORIZATION, HOST};

    use super::*;
    use crate::Options;
    use crate::request::head::Head;
    use crate::request::{protected_resource, validate};

    /// Returns a request as HTTP/1.1 and as HTTP/2 carry its host.
    fn both_forms(host: &str, path: &str) -> [Parts; 2] {
        let request = |uri: String| Request::get(uri).header(AUTHORIZATION, "Bearer t");
        let first = request(path.to_owned()).header(HOST, host);
        let second = request(format!("https://{host}{path}"));
        [first, second].map(|request| request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn path_is_that_of_the_gateway_and_the_rest_is_kept() {
        for parts in both_forms("localhost:8080", "/messages?stream=1") {
            let default = to_gateway(&parts, &GatewayId::default_gateway());
            assert_eq!(default.uri.path_and_query().unwrap(), "/mcp");
            let named = to_gateway(&parts, &GatewayId::new("ops").unwrap());
            assert_eq!(named.uri.path_and_query().unwrap(), "/mcp/ops");
            assert_eq!(named.uri.authority(), parts.uri.authority());
            assert_eq!(named.headers, parts.headers);
        }
    }

    #[test]
    fn host_is_found_in_both_forms() {
        let options = Options::default();
        let gateway = GatewayId::default_gateway();
        for parts in both_forms("127.0.0.1:8080", "/sse") {
            let parts = to_gateway(&parts, &gateway);
            assert!(validate::host(&Head::of(&parts), &options).is_ok());
            let base = protected_resource::base(&options, &parts).unwrap();
            assert_eq!(base.gateway(&gateway), "http://127.0.0.1:8080/mcp");
        }
        for parts in both_forms("evil.example", "/sse") {
            let parts = to_gateway(&parts, &gateway);
            assert!(validate::host(&Head::of(&parts), &options).is_err());
        }
    }
}
