//! What a caller without a credential sees of a server.

use serde_json::{Map, Value, json};

/// What is listed in place of a server's tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WithoutCredential {
    /// A single tool `connect`, which explains how to set up a credential.
    #[default]
    Connect,
    /// These tools, as declared in the configuration.
    Declared(Vec<DeclaredTool>),
    /// The tools listed by an instance that runs without slot values and is used for lists only.
    Listed,
}

/// A tool of a server, as declared in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredTool {
    /// The tool's name at the server.
    pub name: String,
    /// A description of the tool.
    pub description: Option<String>,
    /// The JSON Schema of the tool's arguments. `None`: any object.
    pub input_schema: Option<Map<String, Value>>,
}

impl DeclaredTool {
    /// Returns the tool as an item of `tools/list`.
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
