//! What servers and issuers answer, read as deployed ones write it: a member that cannot be used counts as absent and
//! spoils none of the others.

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
