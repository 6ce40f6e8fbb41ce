//! What can go wrong between a server, its issuer and us. No message holds a token, a code or a secret.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::fetch::FetchError;

/// When an issuer that failed is worth another try, where it does not say.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// What is shown of a text that somebody else sent.
const SHOWN: usize = 120;

#[derive(Debug, thiserror::Error)]
pub(super) enum OAuthError {
    #[error("its issuer cannot be asked: {0}")]
    Fetch(#[from] FetchError),
    #[error("{place} answered HTTP {status}")]
    Status { place: String, status: u16 },
    #[error("{0} answered something that is no metadata")]
    Metadata(String),
    #[error("it does not say who gives tokens for it: name `oauth.issuer`")]
    NoIssuer,
    #[error("its metadata is about another server ({0})")]
    OtherResource(String),
    #[error("the metadata of issuer {issuer} calls itself {found}")]
    OtherIssuer { issuer: String, found: String },
    #[error("issuer {0} has no metadata")]
    NoMetadata(String),
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
    #[error("issuer {issuer} refused to register a client (HTTP {status})")]
    Unregistered { issuer: String, status: u16 },
    #[error("it does not speak OAuth: its entry has no `oauth`")]
    NoOAuth,
    #[error("its tokens need no person: they are obtained when they are needed")]
    NoPerson,
    #[error("this sign-in is not known here: it is over, was used already, or never began")]
    UnknownFlow,
    #[error("this sign-in was begun by somebody else")]
    OtherPerson,
    #[error("the answer of the sign-in does not come from issuer {0}")]
    OtherSender(String),
    #[error("the issuer ended the sign-in ({0})")]
    Denied(String),
    #[error("the answer of the sign-in holds no code")]
    NoCode,
    #[error("the issuer gave no token ({0})")]
    Refused(String),
    #[error("the issuer gave no token: {why}")]
    NotNow { why: String, after: Duration },
    #[error("it wants scopes {0}, which its token was asked for already")]
    ScopesInVain(String),
}

impl From<OAuthError> for Error {
    fn from(error: OAuthError) -> Self {
        use OAuthError as E;
        let kind = match &error {
            E::NoIssuer | E::NoPkce(_) | E::NoClient(_) | E::NoMetadata(_) | E::Lacks { .. } => {
                ErrorKind::Config
            }
            E::NoOAuth | E::NoPerson | E::UnknownFlow | E::NoCode => ErrorKind::InvalidParams,
            E::OtherPerson | E::OtherSender(_) | E::Denied(_) => ErrorKind::Forbidden,
            E::Refused(_) => ErrorKind::CredentialExpired,
            _ => ErrorKind::Unavailable,
        };
        let after = match &error {
            E::NotNow { after, .. } => Some(*after),
            _ if kind == ErrorKind::Unavailable => Some(AGAIN),
            _ => None,
        };
        let text = Self::new(kind, error.to_string());
        match after {
            Some(after) => text.with_retry_after(after),
            None => text,
        }
    }
}

/// A text of somebody else as it may stand in a message: short, and of one line.
pub(super) fn shortened(text: &str) -> String {
    let plain = text.chars().filter(|c| matches!(c, ' '..='~'));
    plain.take(SHOWN).collect()
}

/// A word that an issuer answers instead of a token.
pub(super) fn code(text: &str) -> String {
    let is_word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let word: String = text.chars().filter(is_word).take(60).collect();
    if word.is_empty() {
        "no reason".to_owned()
    } else {
        word
    }
}
