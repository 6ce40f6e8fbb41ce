//! Responses of token endpoints: a token, a final refusal, or a temporary failure. The status alone does not decide,
//! since some issuers refuse with status 200, and proxies in front of them answer with any status.

use std::time::Duration;

use form_urlencoded::parse;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use http::{StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};

use super::error_text::error_code;
use super::members::Members;
use crate::fetch::Answer;
use crate::header_value;
use crate::limits::{MAX_ISSUER_RETRY_AFTER, MAX_TOKEN_LEN};

/// A token and its properties.
pub(crate) struct Token {
    pub(crate) access: SecretString,
    pub(crate) refresh: Option<SecretString>,
    pub(crate) life: Option<Duration>,
    /// The granted scopes. `None`: the requested scopes were granted.
    pub(crate) scopes: Option<Vec<String>>,
}

/// Why no token was returned.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The issuer's error code; a retry would not help.
    Final(String),
    /// The failure may be temporary.
    Passing {
        why: String,
        after: Option<Duration>,
    },
    /// Not a response of a token endpoint: the endpoint may have moved or no longer exist.
    Foreign(String),
}

/// Error codes that mean that the issuer is temporarily unable to answer.
const PASSING: [&str; 17] = [
    "authorization_pending",
    "fatal_error",
    "internal_error",
    "internal_server_error",
    "rate_limit_exceeded",
    "rate_limited",
    "ratelimited",
    "request_timeout",
    "server_error",
    "service_unavailable",
    "slow_down",
    "temporarily_unavailable",
    "timeout",
    "too_many_requests",
    "try_again",
    "try_again_later",
    "unavailable",
];
/// Token types that cannot be used with a header alone.
const UNUSABLE: [&str; 4] = ["dpop", "mac", "n_a", "pop"];
/// Objects in which some issuers nest the token.
const NESTED: [&str; 5] = ["authed_user", "data", "token", "result", "response"];

/// The members of a response.
#[derive(Default)]
struct ResponseMembers {
    access: Option<SecretString>,
    kind: Option<String>,
    refresh: Option<SecretString>,
    id_token: Option<SecretString>,
    life: Option<Duration>,
    scopes: Option<Vec<String>>,
    error: Option<String>,
}

/// Parses the response of a token endpoint.
///
/// # Errors
/// The reason why it holds no token.
pub(crate) fn token_answer(answer: &Answer) -> Result<Token, Refusal> {
    let status = answer.status;
    let Some(given) = ResponseMembers::read(answer) else {
        return Err(unreadable(answer));
    };
    let passing = |why: String| Refusal::Passing {
        why,
        after: retry_after(&answer.headers),
    };
    let access = given.access.filter(|_| status.is_success());
    let Some(access) = access else {
        return Err(refusal(answer, given.error));
    };
    let kind = given.kind.unwrap_or_default().to_ascii_lowercase();
    if UNUSABLE.contains(&kind.as_str()) {
        return Err(passing(
            "its token is of a kind that cannot be used here".to_owned(),
        ));
    }
    let text = access.expose_secret();
    if text.len() > MAX_TOKEN_LEN || HeaderValue::from_str(text).is_err() {
        return Err(passing(
            "its token is too long, or holds a character that no header may hold".to_owned(),
        ));
    }
    let usable = |text: &SecretString| text.expose_secret().len() <= MAX_TOKEN_LEN;
    Ok(Token {
        access,
        refresh: given.refresh.filter(usable),
        life: given.life,
        scopes: given.scopes,
    })
}

/// Parses the response of a token endpoint to a sign-in and returns the ID token.
///
/// # Errors
/// The reason why it holds none.
pub(crate) fn id_token_answer(answer: &Answer) -> Result<SecretString, Refusal> {
    let Some(given) = ResponseMembers::read(answer) else {
        return Err(unreadable(answer));
    };
    match given.id_token.filter(|_| answer.status.is_success()) {
        Some(id_token) => Ok(id_token),
        None if given.access.is_some() => Err(Refusal::Foreign(
            "the response contains no ID token".to_owned(),
        )),
        None => Err(refusal(answer, given.error)),
    }
}

/// Classifies a response that holds no token, by its error code.
fn refusal(answer: &Answer, error: Option<String>) -> Refusal {
    let status = answer.status;
    match error {
        Some(error) if is_final(status, &error) => Refusal::Final(error_code(&error)),
        Some(error) => Refusal::Passing {
            why: format!(
                "it returned HTTP {} ({})",
                status.as_u16(),
                error_code(&error)
            ),
            after: retry_after(&answer.headers),
        },
        None => unreadable(answer),
    }
}

/// Returns `true` if an error code means that a retry would not help.
fn is_final(status: StatusCode, error: &str) -> bool {
    let busy = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    let error = error.to_ascii_lowercase().replace([' ', '-'], "_");
    // Some issuers send an HTTP status as the error code.
    let number = error.parse::<u16>().ok();
    let passes = number.is_some_and(|number| number >= 500 || number == 429 || number == 408);
    !busy && !passes && !PASSING.contains(&error.as_str())
}

/// Classifies a response that holds neither a token nor an error code.
fn unreadable(answer: &Answer) -> Refusal {
    let status = answer.status;
    let busy = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    if busy {
        return Refusal::Passing {
            why: format!("it returned HTTP {}", status.as_u16()),
            after: retry_after(&answer.headers),
        };
    }
    Refusal::Foreign(if status.is_success() {
        "the response contains neither a token nor an error code".to_owned()
    } else {
        format!("it returned HTTP {} without a reason", status.as_u16())
    })
}

impl ResponseMembers {
    fn read(answer: &Answer) -> Option<Self> {
        match Members::read(&answer.body) {
            Some(members) => Some(Self::of_json(&members)),
            None => Self::of_form(answer),
        }
    }

    fn of_json(members: &Members<'_>) -> Self {
        let own = Self::of_object(members);
        if own.access.is_some() {
            return own;
        }
        let nested = NESTED.iter().filter_map(|name| members.object(name));
        let mut nested = nested.map(|below| Self::of_object(&below));
        let found = nested.find(|below| below.access.is_some());
        found.unwrap_or(own)
    }

    fn of_object(members: &Members<'_>) -> Self {
        let secret = |names: [&str; 2]| names.iter().find_map(|name| members.secret(name));
        let error = members.text("error").or_else(|| {
            let below = members.object("error")?;
            let names = ["code", "error", "type", "status", "message"];
            names.iter().find_map(|name| below.text(name))
        });
        let life = members.life("expires_in");
        Self {
            access: secret(["access_token", "accessToken"]).map(|text| text.0),
            kind: members.text("token_type"),
            refresh: secret(["refresh_token", "refreshToken"]).map(|text| text.0),
            id_token: secret(["id_token", "idToken"]).map(|text| text.0),
            life: life.or_else(|| members.life("expiresIn")),
            scopes: members.words("scope"),
            error: error.or_else(|| members.text("errorCode")),
        }
    }

    /// Parses a form-encoded response, which issuers return that ignore `Accept`.
    fn of_form(answer: &Answer) -> Option<Self> {
        let kind = answer.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let kind = kind.split(';').next()?.trim();
        let known = ["application/x-www-form-urlencoded", "text/plain"];
        if !known.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
            return None;
        }
        let mut given = Self::default();
        for (name, value) in parse(&answer.body).filter(|(_, value)| !value.is_empty()) {
            match &*name {
                "access_token" => given.access = Some(SecretString::from(&*value)),
                "refresh_token" => given.refresh = Some(SecretString::from(&*value)),
                "token_type" => given.kind = Some(value.into_owned()),
                "expires_in" => {
                    let number = format!("{{\"in\":\"{}\"}}", value.replace(['"', '\\'], ""));
                    given.life =
                        Members::read(number.as_bytes()).and_then(|members| members.life("in"));
                }
                "scope" => {
                    let words = value.split([' ', ',']).filter(|word| !word.is_empty());
                    given.scopes = Some(words.map(str::to_owned).collect());
                }
                "error" => given.error = Some(value.into_owned()),
                _ => {}
            }
        }
        (given.access.is_some() || given.error.is_some()).then_some(given)
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let wait = header_value::retry_after(headers.get(RETRY_AFTER)?);
    wait.map(|wait| wait.min(MAX_ISSUER_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
