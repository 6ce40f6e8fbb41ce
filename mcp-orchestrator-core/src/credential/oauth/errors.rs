//! Errors between this process, a server and its issuer. No message holds a token, a code or a secret.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::fetch::FetchError;
use crate::oauth::{DocumentError, TokenError};
pub(super) use crate::oauth::{error_code, shortened};

/// Retry delay after a failure of an issuer that names none.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub(super) enum OAuthError {
    #[error("the issuer is unavailable: {0}")]
    Fetch(#[from] FetchError),
    #[error("{place} returned HTTP {status}")]
    Status { place: String, status: u16 },
    #[error("{0} returned no metadata")]
    Metadata(String),
    #[error("it does not say who gives tokens for it: name `oauth.issuer`")]
    NoIssuer,
    #[error(
        "its client has a secret, and a secret goes to a configured issuer only: name `oauth.issuer`, or its endpoints"
    )]
    SecretWithoutIssuer,
    #[error(
        "its metadata is about another server ({0}): name `oauth.issuer` if you know who gives its tokens"
    )]
    OtherResource(String),
    #[error(
        "the metadata of issuer {issuer} calls itself {found}: name {issuer} as `oauth.issuer` if it is the right one"
    )]
    OtherIssuer { issuer: String, found: String },
    #[error("issuer {issuer} has no metadata{why}")]
    NoMetadata { issuer: String, why: String },
    #[error(
        "issuer {0} does not say that it knows PKCE with S256: name it as `oauth.issuer` if it does all the same"
    )]
    NoPkce(String),
    #[error("issuer {issuer} names no {what}")]
    Lacks { issuer: String, what: &'static str },
    #[error(
        "issuer {0} registers no clients by itself: register one there and name it as `oauth.client_id`"
    )]
    NoClient(String),
    #[error(
        "issuer {issuer} refused to register a client ({why}): register one there and name it as `oauth.client_id`"
    )]
    Unregistered { issuer: String, why: String },
    #[error("OAuth is not configured: its entry has no `oauth`")]
    NoOAuth,
    #[error("its tokens need no person: they are obtained when they are needed")]
    NoPerson,
    #[error("unknown sign-in: it has expired, was used already, or does not exist")]
    UnknownFlow,
    #[error("this sign-in was started by another user")]
    OtherPerson,
    #[error("the response of the sign-in is not from issuer {0}")]
    OtherSender(String),
    #[error("the issuer ended the sign-in ({0})")]
    Denied(String),
    #[error("the response of the sign-in contains no code")]
    NoCode,
    #[error("the issuer gave no token ({0})")]
    Refused(String),
    #[error("the issuer gave no token: {why}")]
    NotNow { why: String, after: Duration },
    #[error("the issuer gave no token: {0}")]
    Foreign(String),
    #[error("too many {what}: wait, or end one")]
    TooMany { what: &'static str, after: Duration },
    #[error("{0}")]
    Known(Arc<Self>),
    #[error("its token is from issuer {0}, and the configuration names another one")]
    IssuerChanged(String),
    #[error("it requires scopes {0}, which were already requested for its token")]
    ScopesInVain(String),
}

impl OAuthError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoIssuer
            | Self::SecretWithoutIssuer
            | Self::NoPkce(_)
            | Self::NoClient(_)
            | Self::NoMetadata { .. }
            | Self::Lacks { .. } => ErrorKind::Config,
            Self::NoOAuth | Self::NoPerson | Self::UnknownFlow | Self::NoCode => {
                ErrorKind::InvalidParams
            }
            Self::OtherPerson | Self::OtherSender(_) | Self::Denied(_) => ErrorKind::Forbidden,
            Self::Refused(_) | Self::IssuerChanged(_) => ErrorKind::CredentialExpired,
            Self::TooMany { .. } => ErrorKind::Overloaded,
            Self::Known(known) => known.kind(),
            _ => ErrorKind::Unavailable,
        }
    }
}

impl From<OAuthError> for Error {
    fn from(error: OAuthError) -> Self {
        let kind = error.kind();
        let after = match &error {
            OAuthError::NotNow { after, .. } | OAuthError::TooMany { after, .. } => Some(*after),
            _ if kind == ErrorKind::Unavailable => Some(RETRY_INTERVAL),
            _ => None,
        };
        let text = Self::new(kind, error.to_string());
        match after {
            Some(after) => text.with_retry_after(after),
            None => text,
        }
    }
}

impl From<DocumentError> for OAuthError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Fetch(error) => Self::Fetch(error),
            DocumentError::Status { place, status } => Self::Status { place, status },
            DocumentError::NoDocument(place) => Self::Metadata(place),
        }
    }
}

impl From<TokenError> for OAuthError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Fetch(error) => Self::Fetch(error),
            TokenError::Refused(code) => Self::Refused(code),
            TokenError::NotNow { why, after } => Self::NotNow {
                why,
                after: after.unwrap_or(RETRY_INTERVAL),
            },
            TokenError::Foreign(why) => Self::Foreign(why),
        }
    }
}
