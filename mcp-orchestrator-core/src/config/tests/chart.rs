//! The chart's README documents every value with its default.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

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
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/chart/mcp-orchestrator");
    let read = |file: &str| std::fs::read_to_string(chart.join(file)).unwrap();
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
