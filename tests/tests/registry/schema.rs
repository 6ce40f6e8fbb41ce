//! Validates documents against the published schemas, as far as these schemas use JSON Schema.

use mcp_orchestrator_core::time::from_rfc3339;
use regex_lite::Regex;
use serde_json::Value;

pub(crate) const REGISTRY: &str = include_str!("schemas/registry.json");
pub(crate) const SERVER_CARD: &str = include_str!("schemas/server_card.json");

/// Asserts that a document is valid; `definition` selects one of the schema's definitions.
pub(crate) fn assert_valid(schema: &str, definition: &str, document: &Value) {
    let root: Value = serde_json::from_str(schema).unwrap();
    let found = check(&root, &root["$defs"][definition], document);
    assert_eq!(found, Ok(()), "{document:#}");
}

fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let members = schema.as_object().ok_or("no schema")?;
    for (keyword, rule) in members {
        let holds = match keyword.as_str() {
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                check(root, &root["$defs"][name], value)?;
                true
            }
            "type" => is_of(rule.as_str().unwrap(), value),
            "enum" => rule.as_array().unwrap().contains(value),
            "required" => {
                let mut names = rule.as_array().unwrap().iter();
                names.all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "minLength" => length(value) >= rule.as_u64().unwrap(),
            "maxLength" => length(value) <= rule.as_u64().unwrap(),
            "pattern" => {
                let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "format" => has_format(rule.as_str().unwrap(), value),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(root, rule, item)?;
                }
                true
            }
            "allOf" => {
                for schema in rule.as_array().unwrap() {
                    check(root, schema, value)?;
                }
                true
            }
            "anyOf" => {
                let mut schemas = rule.as_array().unwrap().iter();
                schemas.any(|schema| check(root, schema, value).is_ok())
            }
            "properties" | "additionalProperties" => {
                properties(root, schema, value)?;
                true
            }
            other => panic!("the test does not know the keyword {other}"),
        };
        if !holds {
            return Err(format!("{keyword} {rule}: {value}"));
        }
    }
    Ok(())
}

fn properties(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    for (name, value) in value.as_object().into_iter().flatten() {
        match (
            schema["properties"].get(name),
            schema.get("additionalProperties"),
        ) {
            (Some(schema), _) => check(root, schema, value)?,
            (None, None | Some(Value::Bool(true))) => {}
            (None, Some(Value::Bool(false))) => return Err(format!("no property {name}")),
            (None, Some(schema)) => check(root, schema, value)?,
        }
    }
    Ok(())
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("the test does not know the type {other}"),
    }
}

fn has_format(format: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    match format {
        "date-time" => from_rfc3339(text).is_some(),
        "uri" => text.parse::<http::Uri>().is_ok(),
        other => panic!("the test does not know the format {other}"),
    }
}

fn length(value: &Value) -> u64 {
    value.as_str().unwrap_or_default().chars().count() as u64
}
