//! Tool arguments that a modern client repeats in headers (`x-mcp-header`, SEP-2243).

/// An argument of a tool that is repeated in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderParam {
    /// The path to the property within the arguments.
    pub(crate) path: Vec<String>,
    /// The header's name after `Mcp-Param-`.
    pub(crate) header: String,
}

/// Returns the arguments that are repeated in headers, or `None` if an annotation is invalid, in which case the tool
/// must not be shown (SEP-2243).
pub(super) fn header_params(schema: Option<&str>) -> Option<Vec<HeaderParam>> {
    let Some(schema) = schema.filter(|schema| schema.contains("x-mcp-header")) else {
        return Some(Vec::new());
    };
    let schema: serde_json::Value = serde_json::from_str(schema).ok()?;
    let mut found = Vec::new();
    properties(&schema, &mut Vec::new(), &mut found)?;
    let total = count(&schema);
    let mut names: Vec<_> = found
        .iter()
        .map(|param| param.header.to_ascii_lowercase())
        .collect();
    names.sort();
    names.dedup();
    // An annotation that is not on a property, or a duplicate name, is invalid.
    (total == found.len() && names.len() == found.len()).then_some(found)
}

fn properties(
    schema: &serde_json::Value,
    path: &mut Vec<String>,
    found: &mut Vec<HeaderParam>,
) -> Option<()> {
    let Some(properties_of) = schema
        .get("properties")
        .and_then(serde_json::Value::as_object)
    else {
        return Some(());
    };
    for (name, property) in properties_of {
        path.push(name.clone());
        if let Some(header) = property.get("x-mcp-header") {
            let header = header.as_str().filter(|header| is_token(header))?;
            let kind = property.get("type").and_then(serde_json::Value::as_str)?;
            if !matches!(kind, "string" | "integer" | "boolean") {
                return None;
            }
            found.push(HeaderParam {
                path: path.clone(),
                header: header.to_owned(),
            });
        }
        properties(property, path, found)?;
        path.pop();
    }
    Some(())
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

fn count(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Object(members) => {
            // A property may itself have this name; its value is then a schema, not a string.
            let own = members
                .get("x-mcp-header")
                .is_some_and(|value| !value.is_object());
            usize::from(own) + members.values().map(count).sum::<usize>()
        }
        serde_json::Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}
