//! Options for verifying an issuer's tokens.

use std::time::Duration;

use crate::auth::{Algorithm, PublicUrl, TeamNames};

/// An issuer, and the requirements for its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwtOptions {
    /// The issuer identifier, exactly as in the `iss` claim of its tokens.
    pub issuer: String,
    /// The audience that tokens must be issued for.
    pub audience: Audience,
    /// The allowed signature algorithms. Default: all.
    pub algorithms: Vec<Algorithm>,
    /// URL of the issuer's key set. `None`: taken from its metadata.
    pub jwks_url: Option<String>,
    /// The claim that names the user; dots lead into objects. Default: `sub`.
    pub user_claim: String,
    /// The claim that names the teams. `None`: tokens name no teams.
    pub teams_claim: Option<String>,
    /// The teams that tokens may name.
    pub teams: TeamNames,
    /// Prefix for the names of the issuer's users.
    pub prefix: String,
    /// Scopes that a token must have, all of them.
    pub scopes: Vec<String>,
    /// Timeouts and intervals for fetching the issuer's keys.
    pub fetch: FetchLimits,
    /// Maximum number of verified tokens to remember. Default: 16384.
    pub remembered: usize,
}

impl JwtOptions {
    /// Creates options with the defaults: users from `sub`, no teams, no required scopes.
    pub fn new(issuer: impl Into<String>, audience: Audience) -> Self {
        Self {
            issuer: issuer.into(),
            audience,
            algorithms: Algorithm::ALL.to_vec(),
            jwks_url: None,
            user_claim: "sub".to_owned(),
            teams_claim: None,
            teams: TeamNames::default(),
            prefix: String::new(),
            scopes: Vec::new(),
            fetch: FetchLimits::default(),
            remembered: 16 * 1024,
        }
    }
}

/// Timeouts and intervals for fetching an issuer's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchLimits {
    /// Timeout of one request. Default: 10 s.
    pub timeout: Duration,
    /// Age after which keys are fetched again in the background while the cached ones stay in use. Default: 10 min.
    pub fresh: Duration,
    /// Maximum age of cached keys while the issuer is unreachable. Default: 12 h.
    pub stale: Duration,
    /// Minimum time between two requests, after a failure as well as for an unlisted key. Default: 5 s.
    pub pause: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            fresh: Duration::from_mins(10),
            stale: Duration::from_hours(12),
            pause: Duration::from_secs(5),
        }
    }
}

/// The audience that a token must be issued for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Any of these audiences.
    OneOf(Vec<String>),
    /// The gateway being called, by its public URL: `https://mcp.example.com/mcp` or `…/mcp/NAME`.
    Gateway(PublicUrl),
}

impl Audience {
    /// Returns `true` if a token for `audience` may be used for a request to `path`.
    pub(super) fn admits(&self, audience: &[String], path: &str) -> bool {
        match self {
            Self::OneOf(known) => audience.iter().any(|aud| known.contains(aud)),
            Self::Gateway(url) => {
                // A proxy in front may pass the prefix on or strip it.
                let path = path.strip_prefix(url.prefix()).unwrap_or(path);
                let path = path.trim_end_matches('/');
                audience
                    .iter()
                    .any(|aud| aud.strip_prefix(url.as_str()) == Some(path))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_audience_must_match_the_requested_gateway() {
        let plain = Audience::Gateway("https://m.example".parse().unwrap());
        let below = Audience::Gateway("https://m.example/tools".parse().unwrap());
        let cases = [
            (&plain, "https://m.example/mcp", "/mcp", true),
            (&plain, "https://m.example/mcp", "/mcp/ops", false),
            (&plain, "https://m.example/mcp/ops", "/mcp/ops", true),
            (&plain, "https://m.example/mcp/ops", "/mcp", false),
            (&plain, "https://m.example", "/mcp", false),
            (&plain, "https://other.example/mcp", "/mcp", false),
            (&plain, "https://m.example.evil/mcp", "/mcp", false),
            (&below, "https://m.example/tools/mcp", "/mcp", true),
            (&below, "https://m.example/tools/mcp", "/tools/mcp", true),
            (&below, "https://m.example/mcp", "/mcp", false),
        ];
        for (audience, aud, path, admitted) in cases {
            let found = audience.admits(&[aud.to_owned()], path);
            assert_eq!(found, admitted, "{audience:?} {aud} {path}");
        }
        let named = Audience::OneOf(vec!["mcp".into()]);
        assert!(named.admits(&["x".into(), "mcp".into()], "/any"));
        assert!(!named.admits(&[], "/mcp"));
    }
}
