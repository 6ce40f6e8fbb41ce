//! Servers that answer as a test says, on a pipe or over HTTP.

use mcp_orchestrator_core::server::ServerSpec;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, Server, Upstream, scripted};
use mcp_orchestrator_tests::wait::until;
use serde_json::Value;

/// The capabilities of a server without resources.
pub(crate) const NO_RESOURCES: &str = r#"{"tools":{"listChanged":true}}"#;

/// How a server is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    Pipe,
    Http,
}

/// Gives every combination of era and transport of the servers.
pub(crate) const KINDS: [(&str, Over); 4] = [
    ("legacy", Over::Pipe),
    ("modern", Over::Pipe),
    ("legacy", Over::Http),
    ("modern", Over::Http),
];

/// A gateway with some servers.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    /// The specs of the servers, in order.
    pub(crate) specs: Vec<ServerSpec>,
    upstreams: Vec<(String, Upstream)>,
    is_legacy: bool,
}

/// A description of a server.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    name: &'static str,
    capabilities: Option<String>,
    answers: Vec<(String, String)>,
}

/// Describes a server that has no resources and reads any that it is asked for: the text is the server's name.
pub(crate) fn server(name: &'static str) -> Described {
    let read = format!(r#""contents":[{{"uri":"@URI@","text":"{name}"}}]"#);
    let none = |list: &str| format!("\"{list}\":[]");
    Described {
        name,
        capabilities: None,
        answers: Vec::new(),
    }
    .answer("resources/read", &read)
    .answer("resources/list", &none("resources"))
    .answer("resources/templates/list", &none("resourceTemplates"))
    .answer(
        "completion/complete",
        &format!(r#""completion":{{"values":["{name}"]}}"#),
    )
}

impl Described {
    pub(crate) fn answer(mut self, method: &str, members: &str) -> Self {
        self.answers.retain(|(name, _)| name != method);
        self.answers.push((method.to_owned(), members.to_owned()));
        self
    }

    pub(crate) fn declares(mut self, capabilities: &str) -> Self {
        self.capabilities = Some(capabilities.to_owned());
        self
    }

    /// Lists resources with these URIs.
    pub(crate) fn lists(self, uris: &[&str]) -> Self {
        let items = uris
            .iter()
            .map(|uri| format!(r#"{{"uri":"{uri}","name":"{uri}"}}"#));
        let items: Vec<_> = items.collect();
        self.answer(
            "resources/list",
            &format!("\"resources\":[{}]", items.join(",")),
        )
    }

    /// Lists a resource template.
    pub(crate) fn template(self, template: &str) -> Self {
        let item = format!(r#""resourceTemplates":[{{"uriTemplate":"{template}","name":"t"}}]"#);
        self.answer("resources/templates/list", &item)
    }

    /// Lists one tool, `show`, with this `_meta`.
    pub(crate) fn tool(self, meta: &str) -> Self {
        let item = format!(
            r#""tools":[{{"name":"show","inputSchema":{{"type":"object"}},"_meta":{meta}}},{{"name":"raw","inputSchema":{{"type":"object"}}}}]"#
        );
        self.answer("tools/list", &item)
    }

    fn script(&self, era: &str) -> Script {
        Script {
            legacy: era == "legacy",
            modern: era == "modern",
            answers: self.answers.clone(),
            capabilities: self.capabilities.clone(),
            ..Script::default()
        }
    }

    fn child(&self, era: &str) -> ServerSpec {
        let mut args = vec!["--era".to_owned(), era.to_owned()];
        for (method, members) in &self.answers {
            args.extend(["--answer".to_owned(), format!("{method}={members}")]);
        }
        if let Some(capabilities) = &self.capabilities {
            args.extend(["--capabilities".to_owned(), capabilities.clone()]);
        }
        let args: Vec<&str> = args.iter().map(|arg| &arg[..]).collect();
        scripted(self.name, &args)
    }
}

impl Stage {
    pub(crate) async fn new((era, over): (&str, Over), servers: &[Described]) -> Self {
        Self::with((era, over), servers, |builder| builder).await
    }

    pub(crate) async fn with(
        (era, over): (&str, Over),
        servers: &[Described],
        change: impl FnOnce(
            mcp_orchestrator_tests::gateway::Builder,
        ) -> mcp_orchestrator_tests::gateway::Builder,
    ) -> Self {
        let mut builder = change(Gateway::new());
        let (mut upstreams, mut specs) = (Vec::new(), Vec::new());
        for server in servers {
            let spec = match over {
                Over::Pipe => server.child(era),
                Over::Http => {
                    let upstream = Upstream::start(server.script(era)).await;
                    let spec = upstream.spec(server.name);
                    upstreams.push((server.name.to_owned(), upstream));
                    spec
                }
            };
            specs.push(spec.clone());
            builder = builder.server(spec);
        }
        Self {
            gateway: builder.run().await,
            specs,
            upstreams,
            is_legacy: era == "legacy",
        }
    }

    fn http(&self, name: &str) -> Option<&Upstream> {
        let mut upstreams = self.upstreams.iter();
        let found = upstreams.find(|(known, _)| known == name);
        found.map(|(_, upstream)| upstream)
    }

    /// Waits until the gateway listens for messages of a legacy HTTP server that belong to no call.
    pub(crate) async fn is_heard(&self, name: &str) {
        if let Some(upstream) = self.http(name).filter(|_| self.is_legacy) {
            until("a stream", || upstream.listening() > 0).await;
        }
    }

    /// Has an HTTP server send a message that belongs to no call.
    pub(crate) fn announce(&self, name: &str, message: &str) {
        self.http(name).unwrap().announce(message);
    }

    /// Returns an HTTP server.
    pub(crate) fn upstream(&self, name: &str) -> &Server {
        &self.http(name).unwrap().server
    }
}

/// Returns the text of a resource that was read, or the code of the error.
pub(crate) fn text(answer: &Value) -> String {
    match answer["result"]["contents"][0]["text"].as_str() {
        Some(text) => text.to_owned(),
        None => answer["error"]["code"].to_string(),
    }
}

/// Returns the parameters of a request for a resource.
pub(crate) fn of(uri: &str) -> String {
    serde_json::json!({ "uri": uri }).to_string()
}
