//! The OAuth client: metadata of issuers, authorization URLs and token requests.
//!
//! Two modules build on it: sign-in at an issuer of the gateway (`auth::jwt`) and tokens for upstream servers
//! (`credential::oauth`). Responses are parsed leniently to work with real deployments: a member that cannot be used
//! counts as absent and does not affect the others.

mod authorization_url;
mod client_auth;
mod error_text;
mod issuer;
mod members;
mod recent;
mod token_endpoint;
mod token_response;

pub(crate) use self::authorization_url::{AuthorizationUrl, OFFLINE_ACCESS};
pub(crate) use self::client_auth::{AuthMethod, ClientCredentials};
pub(crate) use self::error_text::{error_code, shortened};
pub(crate) use self::issuer::{
    DocumentError, IssuerMetadata, document, issuer_places, origin, same_issuer, scopes,
};
pub(crate) use self::members::Members;
pub(crate) use self::recent::Recent;
pub(crate) use self::token_endpoint::{TokenEndpoint, TokenError};
pub(crate) use self::token_response::{Token, id_token_answer, token_answer};
