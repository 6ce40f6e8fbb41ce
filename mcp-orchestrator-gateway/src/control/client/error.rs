//! Why a request to a gateway failed.

use std::fmt;

use crate::control::wire::Refusal;

/// Why a request to a gateway failed.
#[derive(Debug)]
pub enum ClientError {
    /// No gateway is running there.
    NotRunning(String),
    /// The gateway refused the request.
    Refused(Refusal),
    /// The connection broke, or the response could not be parsed.
    Broken(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(place) => write!(f, "no gateway responds at {place}"),
            Self::Refused(refusal) => f.write_str(&refusal.message),
            Self::Broken(why) => write!(f, "the gateway's response is not usable: {why}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// Converts an error of the connection or of parsing.
pub(super) fn broken(error: impl fmt::Display) -> ClientError {
    ClientError::Broken(error.to_string())
}
