//! Constants of MCP: methods, headers, `_meta` keys, versions and error codes.
//!
//! Source: the MCP specification, revisions 2024-11-05 to 2026-07-28.

use std::fmt;

/// The two eras of MCP, which a gateway must keep apart both upstream and downstream.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Era {
    /// `initialize` and sessions: 2024-11-05 to 2025-11-25.
    Legacy,
    /// Stateless: 2026-07-28 and later.
    Modern,
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        })
    }
}

/// Protocol versions, oldest first.
pub mod version {
    use super::Era;

    /// The first version: stdio, and HTTP with a separate SSE stream.
    pub const V2024_11_05: &str = "2024-11-05";
    /// Streamable HTTP. The only version with JSON-RPC batches.
    pub const V2025_03_26: &str = "2025-03-26";
    /// Structured content, elicitation, and the version header.
    pub const V2025_06_18: &str = "2025-06-18";
    /// Tasks and SSE polling.
    pub const V2025_11_25: &str = "2025-11-25";
    /// Stateless requests; the first version of the modern era.
    pub const V2026_07_28: &str = "2026-07-28";
    /// The versions of the legacy era.
    pub const LEGACY: [&str; 4] = [V2024_11_05, V2025_03_26, V2025_06_18, V2025_11_25];
    /// The versions of the modern era.
    pub const MODERN: [&str; 1] = [V2026_07_28];
    /// The newest legacy version, which `initialize` offers.
    pub const LATEST_LEGACY: &str = V2025_11_25;
    /// The newest modern version.
    pub const LATEST_MODERN: &str = V2026_07_28;
    /// The version assumed for a legacy client that names none.
    pub const WITHOUT_HEADER: &str = V2025_03_26;

    /// Returns the era of a supported version, or `None` for any other.
    pub fn era(version: &str) -> Option<Era> {
        if LEGACY.contains(&version) {
            Some(Era::Legacy)
        } else if MODERN.contains(&version) {
            Some(Era::Modern)
        } else {
            None
        }
    }
}

/// Names of methods.
pub mod method {
    #![allow(
        missing_docs,
        reason = "each is the method's own name, as the specification writes it"
    )]
    pub const INITIALIZE: &str = "initialize";
    pub const PING: &str = "ping";
    pub const DISCOVER: &str = "server/discover";
    pub const LISTEN: &str = "subscriptions/listen";
    pub const TOOLS_LIST: &str = "tools/list";
    pub const TOOLS_CALL: &str = "tools/call";
    pub const PROMPTS_LIST: &str = "prompts/list";
    pub const PROMPTS_GET: &str = "prompts/get";
    pub const RESOURCES_LIST: &str = "resources/list";
    pub const RESOURCES_TEMPLATES_LIST: &str = "resources/templates/list";
    pub const RESOURCES_READ: &str = "resources/read";
    pub const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";
    pub const RESOURCES_UNSUBSCRIBE: &str = "resources/unsubscribe";
    pub const COMPLETE: &str = "completion/complete";
    pub const SET_LEVEL: &str = "logging/setLevel";
    pub const TASKS_GET: &str = "tasks/get";
    pub const TASKS_RESULT: &str = "tasks/result";
    pub const TASKS_LIST: &str = "tasks/list";
    pub const TASKS_CANCEL: &str = "tasks/cancel";
    pub const TASKS_UPDATE: &str = "tasks/update";
    pub const SKILLS_LIST: &str = "skills/list";
    pub const SKILLS_GET: &str = "skills/get";
    pub const DIRECTORY_READ: &str = "resources/directory/read";
    pub const SAMPLING: &str = "sampling/createMessage";
    pub const ELICITATION: &str = "elicitation/create";
    pub const ROOTS_LIST: &str = "roots/list";
    /// Prefix of all notification methods.
    pub const NOTIFICATIONS: &str = "notifications/";
    pub const INITIALIZED: &str = "notifications/initialized";
    pub const CANCELLED: &str = "notifications/cancelled";
    pub const PROGRESS: &str = "notifications/progress";
    pub const LOG_MESSAGE: &str = "notifications/message";
    pub const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
    pub const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
    pub const RESOURCES_CHANGED: &str = "notifications/resources/list_changed";
    pub const RESOURCE_UPDATED: &str = "notifications/resources/updated";
    pub const ROOTS_CHANGED: &str = "notifications/roots/list_changed";
    pub const ELICITATION_COMPLETE: &str = "notifications/elicitation/complete";
    pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
    pub const TASK_STATUS: &str = "notifications/tasks/status";
    pub const TASKS_NOTIFICATION: &str = "notifications/tasks";
}

/// Names of HTTP headers, in lower case.
pub mod header {
    /// Legacy: the session ID.
    pub const SESSION_ID: &str = "mcp-session-id";
    /// The protocol version.
    pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
    /// Modern: the method, as in the body.
    pub const METHOD: &str = "mcp-method";
    /// Modern: the name of the tool, prompt, resource or task, as in the body.
    pub const NAME: &str = "mcp-name";
    /// Modern: prefix of the headers that repeat tool arguments.
    pub const PARAM_PREFIX: &str = "mcp-param-";
    /// Legacy: the event after which a stream is resumed.
    pub const LAST_EVENT_ID: &str = "last-event-id";
}

/// Keys of `_meta`.
pub mod meta {
    /// Prefix of the keys that are reserved for the protocol.
    pub const PREFIX: &str = "io.modelcontextprotocol/";
    /// Modern: the protocol version of a request.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// Modern: name and version of the client.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Modern: capabilities of the client.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Modern: the log level that a request asks for.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// Modern: name and version of the server, in results.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// Modern: the `subscriptions/listen` request that a notification belongs to.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// Legacy: the task that a message belongs to.
    pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
    /// Name of the tasks extension.
    pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
    /// Identifier of the skills extension (SEP-2640).
    pub const SKILLS_EXTENSION: &str = "io.modelcontextprotocol/skills";
    /// Identifier of the extension for user interfaces (MCP Apps).
    pub const UI_EXTENSION: &str = "io.modelcontextprotocol/ui";
}

/// JSON-RPC error codes.
pub mod code {
    /// The bytes are not JSON.
    pub const PARSE: i32 = -32700;
    /// The JSON is not a valid request.
    pub const INVALID_REQUEST: i32 = -32600;
    /// The method does not exist.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// Invalid parameters; in the modern era also an unknown resource.
    pub const INVALID_PARAMS: i32 = -32602;
    /// Internal error.
    pub const INTERNAL: i32 = -32603;
    /// Legacy: the session does not exist.
    pub const SESSION_NOT_FOUND: i32 = -32001;
    /// Legacy: the resource does not exist.
    pub const RESOURCE_NOT_FOUND: i32 = -32002;
    /// Modern: the headers disagree with the body.
    pub const HEADER_MISMATCH: i32 = -32020;
    /// Modern: the client lacks a capability.
    pub const MISSING_CAPABILITY: i32 = -32021;
    /// Modern: the protocol version is not supported.
    pub const UNSUPPORTED_VERSION: i32 = -32022;
    /// Legacy: the user must visit a URL first.
    pub const URL_ELICITATION_REQUIRED: i32 = -32042;
}
