//! The chart's README documents every value with its default, and its schema contains that of the configuration.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::config::schema::schema;

const CHART: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/chart/mcp-orchestrator"
);

/// Adds a row for each value that the schema describes and does not subdivide further.
fn describe(schema: &Value, values: &Value, before: &str, rows: &mut BTreeMap<String, String>) {
    for (name, described) in schema["properties"].as_object().unwrap() {
        let (key, default) = (format!("{before}{name}"), &values[name]);
        if described["properties"].is_object() {
            describe(described, default, &format!("{key}."), rows);
            continue;
        }
        let what = described["description"].as_str().unwrap();
        let default = match default {
            Value::Null => String::new(),
            default => format!("`{}`", sorted(default)),
        };
        let row = format!("| `{key}` | {default} | {what} |");
        rows.insert(key, row);
    }
}

/// Serializes as JSON with sorted keys, independent of the library's key order.
fn sorted(value: &Value) -> String {
    let all = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Object(keys) => {
            let keys: BTreeMap<_, _> = keys.iter().collect();
            let parts = keys
                .iter()
                .map(|(key, value)| format!("{key}: {}", sorted(value)));
            format!("{{{}}}", all(parts.collect()))
        }
        Value::Array(items) => format!("[{}]", all(items.iter().map(sorted).collect())),
        other => other.to_string(),
    }
}

#[test]
fn chart_readme_lists_every_value_and_its_default() {
    let read = |file: &str| std::fs::read_to_string(Path::new(CHART).join(file)).unwrap();
    let schema = serde_json::from_str(&read("values.schema.json")).unwrap();
    let values = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    let mut rows = BTreeMap::new();
    describe(&schema, &values, "", &mut rows);
    assert!(rows.len() > 40, "{rows:?}");
    let rows: Vec<String> = rows.into_values().collect();
    let table = format!(
        "| value | default | what it is |\n|---|---|---|\n{}\n\n",
        rows.join("\n")
    );
    assert!(
        read("README.md").contains(&table),
        "deploy/chart/mcp-orchestrator/README.md needs this table:\n{table}"
    );
}

/// Replaces the definitions in the schema of the values with those of the configuration, which the value `config` refers
/// to as `Configuration`.
fn with_configuration(values: &mut Value) {
    let mut configuration = schema();
    let root = configuration.as_object_mut().unwrap();
    root.remove("$schema");
    let mut definitions = root.remove("$defs").unwrap();
    let before = definitions
        .as_object_mut()
        .unwrap()
        .insert("Configuration".to_owned(), configuration);
    assert_eq!(before, None, "a definition has the name of the whole");
    values["$defs"] = definitions;
}

#[test]
fn the_committed_schema_of_the_chart_contains_that_of_the_configuration() {
    let file = Path::new(CHART).join("values.schema.json");
    let committed = std::fs::read_to_string(&file).unwrap();
    let mut now: Value = serde_json::from_str(&committed).unwrap();
    with_configuration(&mut now);
    let reference = &now["properties"]["config"]["$ref"];
    assert_eq!(reference, "#/$defs/Configuration");
    let now = format!("{now:#}\n");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&file, &now).unwrap();
    } else {
        assert!(
            committed == now,
            "deploy/chart/mcp-orchestrator/values.schema.json is out of date; write it anew with \
             `UPDATE_SCHEMA=1 cargo test -p mcp-orchestrator-core --features config the_committed_schema`"
        );
    }
}
