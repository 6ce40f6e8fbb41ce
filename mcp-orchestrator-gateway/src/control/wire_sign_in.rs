//! What is said over the control endpoint by who installs by signing in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wire_people::SecretText;

/// `POST /v1/sign-ins`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignInRequest {
    /// Which server.
    pub server: String,
    /// For whom: `me`, `team/NAME`, `organization` or `user/NAME`.
    pub owner: String,
    /// Values of its other slots.
    #[serde(default)]
    pub values: BTreeMap<String, SecretText>,
    /// Where the browser comes back to: a port of the asker's own machine.
    pub redirect_uri: String,
}

/// What `POST /v1/sign-ins` answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignInBegun {
    /// Where the browser has to go.
    pub url: String,
    /// What it brings back.
    pub state: SecretText,
}

/// `POST /v1/sign-ins/finish`: the query with which the browser came back. It answers what is installed.
#[derive(Debug, Serialize, Deserialize)]
pub struct FinishRequest {
    /// `state`.
    pub state: SecretText,
    /// `code`.
    pub code: Option<SecretText>,
    /// `iss`.
    pub iss: Option<String>,
    /// `error`.
    pub error: Option<String>,
}
