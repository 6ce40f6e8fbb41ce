//! A `server.json` is converted to an entry that loads.

use std::path::Path;

use super::load_as;
use crate::config::{IfPresent, ImportOptions, add_to_text, import_text};
use crate::server::{Injection, Launch};

const NPM: &str = r#"{
  "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
  "name": "io.github.example/Weather_Server", "description": "Weather", "version": "1.2.0",
  "packages": [
    {"registryType": "nuget", "identifier": "Weather", "version": "1.2.0", "transport": {"type": "stdio"}},
    {"registryType": "npm", "registryBaseUrl": "https://registry.npmjs.org", "identifier": "@example/weather",
     "version": "1.2.0", "runtimeHint": "npx", "transport": {"type": "stdio"},
     "runtimeArguments": [{"type": "positional", "value": "-y"}],
     "packageArguments": [
       {"type": "named", "name": "--units", "value": "{units}", "variables": {"units": {"default": "metric"}}},
       {"type": "positional", "valueHint": "cache_dir", "isRequired": true},
       {"type": "named", "name": "--verbose"},
       {"type": "named", "name": "--proxy", "description": "A proxy, if there is one"}],
     "environmentVariables": [
       {"name": "WEATHER_KEY", "description": "Your key", "isRequired": true, "isSecret": true},
       {"name": "REGION", "choices": ["eu", "us"], "default": "eu"},
       {"name": "MODE", "value": "${literal}"}]}],
  "remotes": [{"type": "streamable-http", "url": "https://weather.example.com/mcp"}]
}"#;

const REMOTE: &str = r#"{"server": {
  "name": "com.example/crm", "description": "CRM", "version": "3",
  "remotes": [{"type": "sse", "url": "https://{tenant}.example.com/sse", "variables": {"tenant": {"isRequired": true}},
    "headers": [
      {"name": "Authorization", "value": "Bearer {token}", "isRequired": true, "isSecret": true,
       "variables": {"token": {"description": "From your profile", "isSecret": true}}},
      {"name": "X-Client", "value": "orchestrator"}]}]
}, "_meta": {}}"#;

fn loaded(text: &str, env: &[(&str, &str)]) -> (String, crate::server::ServerSpec) {
    let file = Path::new("server.json");
    let imported = import_text(file, text, &ImportOptions::default())
        .unwrap_or_else(|problems| panic!("{problems}"));
    let id = imported.servers[0].0.clone();
    let target = Path::new("c.yaml");
    let (text, _) = add_to_text(target, "", &imported.servers, IfPresent::Refuse).unwrap();
    let mut names: Vec<_> = imported.variables.iter().map(|it| &it.name[..]).collect();
    names.sort_unstable();
    assert_eq!(names, env.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let mut filled = text.clone();
    for (name, value) in env {
        filled = filled.replace(&format!("${{{name}}}"), value);
    }
    let all =
        load_as(&[("c.yaml", &filled)]).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    (
        id.to_string(),
        (**all.settings.server(&id).unwrap()).clone(),
    )
}

#[test]
fn a_package_becomes_a_program_with_slots() {
    let (name, spec) = loaded(NPM, &[("MCP_WEATHER_SERVER_CACHE_DIR", "/tmp/x")]);
    assert_eq!(name, "weather-server");
    let Launch::Program(program) = &spec.launch else {
        panic!()
    };
    let command = program.command.as_ref().unwrap();
    let args: Vec<_> = command
        .args
        .iter()
        .map(crate::value::Text::expose)
        .collect();
    assert_eq!(
        args,
        [
            "-y",
            "@example/weather@1.2.0",
            "--units",
            "metric",
            "/tmp/x",
            "--verbose"
        ]
    );
    assert_eq!(spec.env["MODE"].expose(), "${literal}");
    let slots: Vec<_> = spec.slots.iter().collect();
    assert_eq!(slots.len(), 2);
    assert!(slots[0].required && !slots[0].form.plain && slots[0].name.as_str() == "weather-key");
    assert!(slots[1].form.plain && slots[1].form.default.as_deref() == Some("eu"));
    assert_eq!(slots[1].form.choices, ["eu", "us"]);
}

#[test]
fn remote_server_takes_its_headers_from_slots() {
    let (name, spec) = loaded(REMOTE, &[("MCP_CRM_TENANT", "acme")]);
    assert_eq!(name, "crm");
    let Launch::Remote(remote) = &spec.launch else {
        panic!()
    };
    assert_eq!(remote.url.to_string(), "https://acme.example.com/sse");
    assert_eq!(remote.headers["x-client"].expose(), "orchestrator");
    let Injection::Header { name, prefix } = &spec.slots[0].inject else {
        panic!()
    };
    assert_eq!((name.as_str(), &prefix[..]), ("authorization", "Bearer "));
    let description = spec.slots[0].description.as_deref();
    assert_eq!(description, Some("From your profile"));
}

#[test]
fn unsupported_packages_are_rejected_with_the_reason() {
    let file = Path::new("server.json");
    for (package, why) in [
        (
            r#"{"registryType": "mcpb", "identifier": "https://x/y.mcpb"}"#,
            "a bundle (mcpb)",
        ),
        (
            r#"{"registryType": "npm", "identifier": "x", "packageArguments":
              [{"type": "named", "name": "--token", "isRequired": true, "isSecret": true}]}"#,
            "--token contains a secret",
        ),
        (
            r#"{"registryType": "pypi", "identifier": "x", "transport": {"type": "sse", "url": "http://x"}}"#,
            "unsupported transport sse",
        ),
    ] {
        let text = format!(r#"{{"name": "a/x", "packages": [{package}]}}"#);
        let refused = import_text(file, &text, &ImportOptions::default()).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
}
