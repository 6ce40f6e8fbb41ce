//! MCP's own words: methods, headers, `_meta` keys, versions, error codes.
//!
//! Source: the MCP specification, revisions 2024-11-05 to 2026-07-28.

use std::fmt;

/// The two dialects of MCP, which a gateway must keep apart on both of its sides.
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

    /// The first one: stdio, and HTTP with an SSE stream of its own.
    pub const V2024_11_05: &str = "2024-11-05";
    /// Streamable HTTP; the only one with JSON-RPC batches.
    pub const V2025_03_26: &str = "2025-03-26";
    /// Structured content, elicitation, the version header.
    pub const V2025_06_18: &str = "2025-06-18";
    /// Tasks, SSE polling.
    pub const V2025_11_25: &str = "2025-11-25";
    /// Stateless.
    pub const V2026_07_28: &str = "2026-07-28";
    /// Those of the legacy era.
    pub const LEGACY: [&str; 4] = [V2024_11_05, V2025_03_26, V2025_06_18, V2025_11_25];
    /// Those of the modern era.
    pub const MODERN: [&str; 1] = [V2026_07_28];
    /// The newest legacy one: what `initialize` offers.
    pub const LATEST_LEGACY: &str = V2025_11_25;
    /// The newest modern one.
    pub const LATEST_MODERN: &str = V2026_07_28;
    /// What a legacy client speaks that names no version.
    pub const WITHOUT_HEADER: &str = V2025_03_26;

    /// The era of a version that is spoken here; `None` for any other.
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
    pub const SAMPLING: &str = "sampling/createMessage";
    pub const ELICITATION: &str = "elicitation/create";
    pub const ROOTS_LIST: &str = "roots/list";
    /// Begins the names of all notifications.
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
    /// Legacy: which session.
    pub const SESSION_ID: &str = "mcp-session-id";
    /// Which version of the protocol.
    pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
    /// Modern: the method of the body.
    pub const METHOD: &str = "mcp-method";
    /// Modern: the tool's, prompt's, resource's or task's name of the body.
    pub const NAME: &str = "mcp-name";
    /// Modern: begins the headers that repeat a tool's arguments.
    pub const PARAM_PREFIX: &str = "mcp-param-";
    /// Legacy: where a stream is resumed.
    pub const LAST_EVENT_ID: &str = "last-event-id";
}

/// Keys of `_meta`.
pub mod meta {
    /// Begins the keys that belong to the protocol.
    pub const PREFIX: &str = "io.modelcontextprotocol/";
    /// Modern: the version of a request.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// Modern: who the client is.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Modern: what the client can do.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Modern: which log messages the request wants.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// Modern: who the server is, in results.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// Modern: to which `subscriptions/listen` a notification belongs.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// Legacy: to which task a message belongs.
    pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
    /// The tasks extension's name.
    pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
}

/// JSON-RPC error codes.
pub mod code {
    /// Not JSON.
    pub const PARSE: i32 = -32700;
    /// Not a request.
    pub const INVALID_REQUEST: i32 = -32600;
    /// No such method.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// Wrong parameters; in the modern era also an unknown resource.
    pub const INVALID_PARAMS: i32 = -32602;
    /// A defect.
    pub const INTERNAL: i32 = -32603;
    /// Legacy: no such session.
    pub const SESSION_NOT_FOUND: i32 = -32001;
    /// Legacy: no such resource.
    pub const RESOURCE_NOT_FOUND: i32 = -32002;
    /// Modern: headers disagree with the body.
    pub const HEADER_MISMATCH: i32 = -32020;
    /// Modern: the client lacks a capability.
    pub const MISSING_CAPABILITY: i32 = -32021;
    /// Modern: a version that is not spoken.
    pub const UNSUPPORTED_VERSION: i32 = -32022;
    /// Legacy: the user must visit an address first.
    pub const URL_ELICITATION_REQUIRED: i32 = -32042;
}
