//! Parses tokens (RFC 7515, compact serialization). Nothing in a token is trusted before its signature is verified,
//! except that the issuer is read to decide which authenticator is responsible.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::errors::JwtError;
use crate::auth::Algorithm;
use crate::limits::MAX_BEARER_LEN;

/// Returns the bearer token of a request's `Authorization` header.
pub(super) fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let fits = !token.is_empty() && token.len() <= MAX_BEARER_LEN;
    (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(token)
}

/// A token split into its parts, with its claims decoded.
pub(super) struct Token<'t> {
    /// The signed part.
    pub(super) message: &'t str,
    header: Vec<u8>,
    /// The claims, not to be trusted before the signature is verified.
    pub(super) claims: Map<String, Value>,
    signature: &'t str,
}

/// The token's header (RFC 7515).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// The signature, with the algorithm and key ID from an accepted header.
pub(super) struct Signature {
    pub(super) algorithm: Algorithm,
    pub(super) key: Option<String>,
    pub(super) bytes: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Parses a token. Returns `None` if it is not a JWT.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        if claims.contains('.') {
            return None;
        }
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        Some(Self {
            message,
            header,
            claims: self::claims(&claims)?,
            signature,
        })
    }

    /// Returns the `iss` claim.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Returns the token's signature if its header is acceptable and its algorithm is in `allowed`.
    pub(super) fn signature(&self, allowed: &[Algorithm]) -> Result<Signature, JwtError> {
        let header: Header = serde_json::from_slice(&self.header).map_err(|_| JwtError::Header)?;
        let algorithm = Algorithm::named(&header.alg)
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or_else(|| JwtError::Algorithm(shown(&header.alg)))?;
        if header.crit.is_some() {
            return Err(JwtError::Critical);
        }
        // Accepts access tokens and plain JWTs, but not logout tokens, proofs and other things that an issuer signs.
        if let Some(kind) = header.typ {
            let known = ["JWT", "at+jwt", "application/at+jwt"];
            if !known.iter().any(|known| known.eq_ignore_ascii_case(&kind)) {
                return Err(JwtError::Type(shown(&kind)));
            }
        }
        let bytes = URL_SAFE_NO_PAD.decode(self.signature);
        Ok(Signature {
            algorithm,
            key: header.kid,
            bytes: bytes.map_err(|_| JwtError::Signature)?,
        })
    }
}

/// Parses claims leniently: a claim with a value that cannot be represented becomes `null` and does not invalidate
/// the token.
pub(super) fn claims(json: &[u8]) -> Option<Map<String, Value>> {
    if let Ok(claims) = serde_json::from_slice(json) {
        return Some(claims);
    }
    let each = serde_json::from_slice::<BTreeMap<String, &RawValue>>(json).ok()?;
    let each = each.into_iter();
    let read = each.map(|(name, raw)| (name, serde_json::from_str(raw.get()).unwrap_or_default()));
    Some(read.collect())
}

/// Shortens a value from the token for a message and keeps visible ASCII characters only.
fn shown(word: &str) -> String {
    word.chars()
        .filter(char::is_ascii_graphic)
        .take(20)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: &str) -> Parts {
        let request = http::Request::builder().header(AUTHORIZATION, value);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn bearer_scheme_is_case_insensitive() {
        for (value, token) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bearer  x ", Some("x")),
            ("Basic a.b.c", None),
            ("Bearer", None),
            ("Bearer ", None),
        ] {
            assert_eq!(bearer(&parts(value)), token, "{value}");
        }
        let long = format!("Bearer {}", "x".repeat(MAX_BEARER_LEN + 1));
        assert_eq!(bearer(&parts(&long)), None);
    }

    #[test]
    fn malformed_tokens_are_not_parsed_as_jwt() {
        let object = URL_SAFE_NO_PAD.encode("{}");
        assert!(Token::parse(&format!("{object}.{object}.")).is_some());
        for text in [
            "x".to_owned(),
            format!("{object}.{object}"),
            format!("{object}.{object}.x.y"),
            format!("{object}.{}.x", URL_SAFE_NO_PAD.encode("[]")),
            "!.!.!".to_owned(),
        ] {
            assert!(Token::parse(&text).is_none(), "{text}");
        }
    }
}
