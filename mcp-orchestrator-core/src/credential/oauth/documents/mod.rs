//! Responses of servers and issuers, parsed leniently to work with real deployments: a member that cannot be used
//! counts as absent and does not affect the others.

mod members;
mod metadata;
mod registration;
mod token;

pub(super) use self::members::Members;
pub(super) use self::metadata::{
    IssuerMetadata, ResourceMetadata, covers, issuer_places, origin, resource_places, same_issuer,
};
pub(super) use self::registration::Registration;
pub(super) use self::token::{Refusal, Token, token_answer};
