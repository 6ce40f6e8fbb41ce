//! What a caller is shown of a server whose credential they have not.

use serde_json::{Map, Value, json};

/// What stands in lists in the place of a server's tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WithoutCredential {
    /// One tool `connect`, which says what to do.
    #[default]
    Connect,
    /// These tools of the server.
    Declared(Vec<DeclaredTool>),
    /// What an instance lists that has no values in its slots, and is used for lists alone.
    Listed,
}

/// A tool of a server, as the catalog declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredTool {
    /// Its own name at the server.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// The JSON Schema of its arguments; `None`: any object.
    pub input_schema: Option<Map<String, Value>>,
}

impl DeclaredTool {
    /// As it stands in a list.
    pub fn to_json(&self) -> Value {
        let any = || json!({ "type": "object" });
        let schema = self.input_schema.clone().map_or_else(any, Value::Object);
        let mut tool = json!({ "name": self.name, "inputSchema": schema });
        if let Some(description) = &self.description {
            tool["description"] = description.as_str().into();
        }
        tool
    }
}
