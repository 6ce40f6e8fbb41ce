//! Tool schemas: clients reject a whole list for a schema that does not describe an object.

use super::object::is_list_of;
use super::object::{Keep, Removed, is_object, is_text, members, mend, mended, optional};
use super::refusal::Refusal;
use crate::jsonrpc::text;

/// Returns a schema that every client accepts. Arguments are always an object, so a missing `type` is added.
///
/// # Errors
/// [`Refusal::Schema`] if it describes something other than an object.
pub(super) fn object_schema(value: &str, removed: &mut Removed) -> Result<Keep, Refusal> {
    const TYPE: &str = "\"type\":\"object\"";
    let types = members(value)
        .map_err(|_| Refusal::Schema)?
        .get("type")
        .unwrap_or("null");
    if !allows_object(types) {
        return Err(Refusal::Schema);
    }
    let schema = mend(value, removed, |key, value, _| {
        Ok(match key {
            "type" if is_text(value) => Keep::AsIs,
            "type" => Keep::Absent,
            "properties" => properties(value)?,
            "required" => optional(value, |list| is_list_of(list, is_text)),
            _ => Keep::AsIs,
        })
    })?;
    if is_text(types) {
        return Ok(mended(schema));
    }
    let rest = schema.trim_start().strip_prefix('{').unwrap_or("}").trim();
    let comma = if rest == "}" { "" } else { "," };
    Ok(Keep::Instead(format!("{{{TYPE}{comma}{rest}")))
}

/// Returns `true` if a schema's `type` allows an object: `"object"`, a list that contains it, or no type.
fn allows_object(types: &str) -> bool {
    let is_it = |value: &str| is_text(value) && text(value).as_deref() == Some("object");
    let items: Option<Vec<&serde_json::value::RawValue>> = serde_json::from_str(types).ok();
    types == "null"
        || is_it(types)
        || items.is_some_and(|all| all.iter().any(|one| is_it(one.get())))
}

/// Checks that each property has a schema that is an object. An empty list is what PHP writes for an empty object.
fn properties(value: &str) -> Result<Keep, Refusal> {
    if value == "null" {
        return Ok(Keep::Absent);
    }
    if value.starts_with('[') && is_list_of(value, |_| false) {
        return Ok(Keep::Instead("{}".to_owned()));
    }
    let properties = mend(value, &mut Vec::new(), |_, schema, _| match schema {
        "true" => Ok(Keep::Instead("{}".to_owned())),
        "false" => Ok(Keep::Instead("{\"not\":{}}".to_owned())),
        schema if is_object(schema) => Ok(Keep::AsIs),
        _ => Err(Refusal::Schema),
    });
    properties.map(mended).map_err(|_| Refusal::Schema)
}
