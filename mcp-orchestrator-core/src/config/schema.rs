//! The JSON Schema for our own file format, for editors and for `docs/config.schema.json`.

use schemars::generate::SchemaSettings;

use super::file::File;

/// Returns the schema (JSON Schema 2020-12).
pub fn schema() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<File>().to_value()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_schema_is_up_to_date() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.schema.json");
        let now = format!("{:#}\n", schema());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&file, &now).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            committed == now,
            "docs/config.schema.json is out of date; write it anew with \
             `UPDATE_SCHEMA=1 cargo test -p mcp-orchestrator-core --features config the_committed_schema`"
        );
    }
}
