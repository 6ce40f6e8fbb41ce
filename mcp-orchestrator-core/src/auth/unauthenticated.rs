//! The error for a request that no authenticator accepts, with what to do.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::error::{Error, ErrorKind};

/// Characters of placeholders in the files of clients (`${TOKEN}`, `{env:TOKEN}`, `%TOKEN%`, `<token>`). No token
/// contains one (RFC 6750, section 2.1).
const PLACEHOLDER: [char; 6] = ['$', '{', '}', '%', '<', '>'];

/// Returns the error for a request with these headers that no authenticator accepts.
pub fn unauthenticated(headers: &HeaderMap) -> Error {
    let text = match headers.get(AUTHORIZATION).map(|value| value.to_str()) {
        None => "authentication required: send `Authorization: Bearer TOKEN`",
        Some(Ok(value)) if token_of(value).is_empty() => {
            "the Authorization header has no token: is the variable set from which the client takes it?"
        }
        Some(Ok(value)) if token_of(value).contains(PLACEHOLDER) => {
            "the client sent the name of a variable instead of a token: set the variable where the client starts"
        }
        Some(_) => "invalid, expired or revoked token",
    };
    Error::new(ErrorKind::Unauthenticated, text)
}

/// Returns what follows the scheme.
fn token_of(value: &str) -> &str {
    let (_, token) = value.trim().split_once(' ').unwrap_or_default();
    token.trim()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn said(value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        unauthenticated(&headers).to_string()
    }

    #[test]
    fn unset_variable_of_a_client_is_named_as_the_cause() {
        for value in [
            "Bearer ${MCP_ORCHESTRATOR_TOKEN}",
            "Bearer ${env:MCP_ORCHESTRATOR_TOKEN}",
            "Bearer {env:TOKEN}",
            "Bearer $TOKEN",
            "Bearer %TOKEN%",
            "bearer <your token>",
        ] {
            assert!(said(value).contains("name of a variable"), "{value}");
            assert!(!said(value).contains("TOKEN"), "{value}");
        }
        for value in ["Bearer", "Bearer ", "bearer   ", ""] {
            assert!(said(value).contains("has no token"), "{value:?}");
        }
        for value in ["Bearer mcpo_abc", "Bearer a.b.c-d_e~f+g/h==", "Basic YTpi"] {
            assert!(said(value).contains("invalid, expired"), "{value}");
        }
        let error = unauthenticated(&HeaderMap::new());
        assert!(error.to_string().contains("authentication required"));
    }
}
