//! What is expected of the tokens of an issuer.

use std::time::Duration;

use crate::auth::{Algorithm, PublicUrl, TeamNames};

/// An issuer, and what is expected of its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtOptions {
    /// Its name, exactly as its tokens write it in `iss`.
    pub issuer: String,
    /// Whom its tokens must be for.
    pub audience: Audience,
    /// How its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are; `None`: where its metadata says.
    pub jwks_url: Option<String>,
    /// The claim that names the user; dots lead into objects.
    pub user_claim: String,
    /// The claim that names the teams; `None`: its tokens name none.
    pub teams_claim: Option<String>,
    /// Which teams its tokens can name.
    pub teams: TeamNames,
    /// What stands before the names of its users.
    pub prefix: String,
    /// Scopes that a token must have, all of them.
    pub scopes: Vec<String>,
    /// How its keys are fetched.
    pub fetch: FetchLimits,
    /// How many tokens are remembered once they were checked.
    pub remembered: usize,
}

impl JwtOptions {
    /// All that a token of this issuer for this audience needs; users by `sub`, no teams, no scopes.
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

/// How an issuer's keys are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// How long one answer may take.
    pub timeout: Duration,
    /// How old keys become before they are fetched again, while those at hand serve on.
    pub fresh: Duration,
    /// How old keys may be at most, where the issuer does not answer any more.
    pub stale: Duration,
    /// How soon the issuer is asked again: when it did not answer, or for a key that it did not list.
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

/// Whom a token must be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One of these.
    OneOf(Vec<String>),
    /// The gateway that is called, under this public address: `https://mcp.example.com/mcp` or `…/mcp/NAME`.
    Gateway(PublicUrl),
}

impl Audience {
    /// Whether a token for `audience` may be used for a request to this path.
    pub(super) fn admits(&self, audience: &[String], path: &str) -> bool {
        match self {
            Self::OneOf(known) => audience.iter().any(|aud| known.contains(aud)),
            Self::Gateway(url) => {
                // Behind a proxy the path may still have the prefix, or lack it.
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
    fn a_token_is_for_the_gateway_that_is_called() {
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
