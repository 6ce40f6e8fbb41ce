//! Messages of the control endpoint for installing by sign-in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::credentials::SecretText;

/// `POST /v1/sign-ins`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignInRequest {
    /// The server's name.
    pub server: String,
    /// The owner: `me`, `team/NAME`, `organization` or `user/NAME`.
    pub owner: String,
    /// Values of the server's other slots.
    #[serde(default)]
    pub values: BTreeMap<String, SecretText>,
    /// Where the browser returns to: a port on the machine of the command line.
    pub redirect_uri: String,
}

/// The response to `POST /v1/sign-ins`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignInBegun {
    /// The address that the browser has to open.
    pub url: String,
    /// The state that the browser returns with.
    pub state: SecretText,
}

/// `POST /v1/sign-ins/finish`: the query that the browser returned with. The response is the installation.
#[derive(Debug, Serialize, Deserialize)]
pub struct FinishRequest {
    /// The parameter `state`.
    pub state: SecretText,
    /// The parameter `code`.
    pub code: Option<SecretText>,
    /// The parameter `iss`.
    pub iss: Option<String>,
    /// The parameter `error`, if the sign-in failed.
    pub error: Option<String>,
}
