//! The file format: the entries of a file as written, and its JSON Schema, for editors and for
//! `docs/config.schema.json`.

pub(crate) mod auth;
pub(crate) mod credentials;
pub(crate) mod file;
pub(crate) mod gateway;
pub(crate) mod kubernetes;
pub(crate) mod listener;
pub(crate) mod log;
pub(crate) mod network;
pub(crate) mod oauth;
pub(crate) mod people;
pub(crate) mod pod;
pub(crate) mod server;
pub(crate) mod units;
pub(crate) mod value;

use schemars::generate::SchemaSettings;

use self::file::File;

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
