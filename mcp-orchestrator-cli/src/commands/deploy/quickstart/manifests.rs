//! Manifests that `quickstart` applies: those of the deployment, with its image and servers filled in.

use std::path::Path;

use mcp_orchestrator_gateway::demo_server;
use serde_json::json;

use crate::exit::Failure;

const NAMESPACE: &str = include_str!("namespace.yaml");
const MANIFESTS: &str = include_str!("manifests.yaml");
/// Text in the manifests that is replaced; each must occur exactly once.
const CONFIG: &str = "data:\n  config.yaml: |\n";
const ARGUMENT: &str = "            - --config=/etc/mcp-orchestrator/config.yaml\n";
const IMAGE: &str = concat!(
    "\"ghcr.io/mcp-orchestrator/gateway:",
    env!("CARGO_PKG_VERSION"),
    "\""
);

/// The configuration file with the servers: its name and text.
#[derive(Debug)]
pub(crate) struct Servers {
    name: &'static str,
    text: String,
}

impl Servers {
    /// Reads a configuration file.
    pub(crate) fn of(file: &Path) -> Result<Self, Failure> {
        let unreadable = |error| Failure::usage(format!("{}: {error}", file.display()));
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        let json = file.extension().is_some_and(|end| end == "json");
        let name = if json { "servers.json" } else { "servers.yaml" };
        Ok(Self { name, text })
    }

    /// Returns a configuration with the demo server, which is part of the gateway's image.
    pub(crate) fn hello(image: &str) -> Self {
        let hello = json!({ "image": image, "args": [demo_server::ARGUMENT] });
        let text = json!({ "servers": { "hello": hello } }).to_string();
        let name = "servers.json";
        Self { name, text }
    }
}

/// Returns the complete manifests. The servers get a separate configuration file, read before that of the manifests, so
/// that the latter takes precedence.
pub(crate) fn manifests(image: &str, servers: &Servers) -> Result<String, Failure> {
    let Servers { name, text } = servers;
    let mut file = format!("data:\n  {name}: |2\n");
    for line in text.lines() {
        file.push_str(&format!("    {line}\n"));
    }
    let config = CONFIG.strip_prefix("data:\n").unwrap_or(CONFIG);
    file.push_str(config);
    let argument = format!("            - --config=/etc/mcp-orchestrator/{name}\n{ARGUMENT}");
    let image = serde_json::Value::from(image).to_string();
    let mut all = format!("{NAMESPACE}---\n{MANIFESTS}");
    // The servers come last, so that nothing is replaced inside their text.
    for (there, wanted) in [(IMAGE, image), (ARGUMENT, argument), (CONFIG, file)] {
        if all.matches(there).count() != 1 {
            return Err(Failure::failed(format!(
                "the manifests in this program have no place for {wanted}"
            )));
        }
        all = all.replace(there, &wanted);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_and_servers_are_inserted_into_the_manifests() {
        let servers = Servers {
            name: "servers.yaml",
            text: "  # mine\n  servers:\n    a: {url: 'https://a.example/mcp'}\n".to_owned(),
        };
        let all = manifests("gw:1", &servers).unwrap();
        assert!(all.contains("          image: \"gw:1\"\n"), "{all}");
        let config = "data:\n  servers.yaml: |2\n      # mine\n      servers:\n        a: {url: 'https://a.example/mcp'}\n  config.yaml: |\n";
        assert!(all.contains(config), "{all}");
        let args = "          args:\n            - --config=/etc/mcp-orchestrator/servers.yaml\n            - --config=/etc/mcp-orchestrator/config.yaml\n";
        assert!(all.contains(args), "{all}");
        assert!(all.starts_with("apiVersion: v1\nkind: Namespace\n"));
    }

    #[test]
    fn without_a_file_the_hello_server_is_configured() {
        for image in ["gw:1", IMAGE.trim_matches('"')] {
            let all = manifests(image, &Servers::hello(image)).unwrap();
            let hello = format!(
                r#"    {{"servers":{{"hello":{{"args":["hello-server"],"image":"{image}"}}}}}}"#
            );
            assert!(all.contains(&hello), "{all}");
        }
    }
}
