//! Why a token is rejected, or why it cannot be verified.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Suggested retry delay while an issuer is unreachable.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What is wrong with a token of this issuer. Messages never hold the token itself; what they quote of it is short
/// and printable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwtError {
    #[error("the token's header cannot be read")]
    Header,
    #[error("the token is not signed in a way that is allowed here ({0})")]
    Algorithm(String),
    #[error("the token requires an unsupported extension")]
    Critical,
    #[error("the token is of a type that grants no access ({0})")]
    Type(String),
    #[error("the token is signed by a key that its issuer does not list (any more)")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token's claim {0:?} is missing or not what it should be")]
    Claim(String),
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token's user is no name that can be used here: {0}")]
    User(String),
    #[error("the token lacks a scope that is needed: {0}")]
    Scope(String),
    #[error("cannot verify the token: the keys of issuer {issuer} are unavailable: {why}")]
    NoKeys { issuer: String, why: String },
    #[error("issuer {issuer}: {why}")]
    Config { issuer: String, why: String },
}

impl From<JwtError> for Error {
    fn from(error: JwtError) -> Self {
        let kind = match error {
            JwtError::Scope(_) => ErrorKind::InsufficientScope,
            JwtError::NoKeys { .. } => ErrorKind::CallerUnknowable,
            JwtError::Config { .. } => ErrorKind::Config,
            _ => ErrorKind::Unauthenticated,
        };
        let again = kind == ErrorKind::CallerUnknowable;
        let error = Self::new(kind, error.to_string());
        if again {
            return error.with_retry_after(RETRY_AFTER);
        }
        error
    }
}
