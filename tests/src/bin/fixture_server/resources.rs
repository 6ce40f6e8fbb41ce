//! The resources and the resource template.

use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};
use serde_json::json;

use crate::{
    changes::{Changes, WATCHED},
    content::IMAGE,
};

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";

/// Returns the resources in order.
pub(crate) fn list() -> Vec<Resource> {
    vec![
        Resource::new(TEXT, "Static text")
            .with_description("A text that never changes")
            .with_mime_type("text/plain"),
        Resource::new(BINARY, "Static binary")
            .with_description("An image that never changes")
            .with_mime_type("image/png"),
        Resource::new(WATCHED, "Watched resource")
            .with_description("A text whose updates can be subscribed to")
            .with_mime_type("text/plain"),
    ]
}

/// Returns the only template.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new("test://template/{id}/data", "Template")
            .with_description("Data that is made from the id")
            .with_mime_type("application/json"),
    ]
}

/// Answers `resources/read`.
pub(crate) fn read(uri: &str, changes: &Changes) -> Result<ReadResourceResult, ErrorData> {
    let contents = match uri {
        TEXT => ResourceContents::text("This is the content of the static text resource.", uri)
            .with_mime_type("text/plain"),
        BINARY => ResourceContents::blob(IMAGE, uri).with_mime_type("image/png"),
        WATCHED => ResourceContents::text(format!("Revision {}", changes.revision()), uri)
            .with_mime_type("text/plain"),
        _ => template(uri)?,
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

fn template(uri: &str) -> Result<ResourceContents, ErrorData> {
    let id = uri
        .strip_prefix("test://template/")
        .and_then(|rest| rest.strip_suffix("/data"))
        .filter(|id| !id.is_empty() && !id.contains('/'));
    let Some(id) = id else {
        let data = json!({ "uri": uri });
        return Err(ErrorData::resource_not_found(
            "no such resource",
            Some(data),
        ));
    };
    let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
    Ok(ResourceContents::text(data.to_string(), uri).with_mime_type("application/json"))
}
