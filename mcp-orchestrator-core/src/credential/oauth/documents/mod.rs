//! Responses of servers and of client registrations.

mod metadata;
mod registration;

pub(super) use self::metadata::{ResourceMetadata, covers, resource_places};
pub(super) use self::registration::Registration;
