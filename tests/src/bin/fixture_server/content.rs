//! Tools that answer immediately with fixed content or with their arguments.

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, ResourceContents};
use serde_json::Value;

/// A PNG of one red pixel, in base64.
pub(crate) const IMAGE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
/// A WAV of no samples, in base64.
const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

/// Returns a result with one text.
pub(crate) fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

/// Returns a string argument, or the default if it is absent.
pub(crate) fn argument<'a>(arguments: &'a JsonObject, name: &str, default: &'a str) -> &'a str {
    arguments
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or(default)
}

/// Returns the answer of a tool of this file; `None` for other tools.
pub(crate) fn call(name: &str, arguments: &JsonObject) -> Option<CallToolResult> {
    let blocks = match name {
        "test_simple_text" => vec![ContentBlock::text(
            "This is a simple text response for testing.",
        )],
        "test_image_content" => vec![ContentBlock::image(IMAGE, "image/png")],
        "test_audio_content" => vec![ContentBlock::audio(AUDIO, "audio/wav")],
        "test_embedded_resource" => vec![ContentBlock::resource(
            ResourceContents::text(
                "This is an embedded resource content.",
                "test://embedded-resource",
            )
            .with_mime_type("text/plain"),
        )],
        "test_multiple_content_types" => mixed(),
        "test_error_handling" => {
            return Some(CallToolResult::error(vec![ContentBlock::text(
                "This tool intentionally returns an error for testing",
            )]));
        }
        "greet" => vec![ContentBlock::text(format!(
            "Hello, {}!",
            argument(arguments, "name", "world")
        ))],
        "json_schema_2020_12_tool" => vec![ContentBlock::text(format!(
            "Contact of {}",
            argument(arguments, "name", "nobody")
        ))],
        "test_custom_header" => vec![ContentBlock::text(format!(
            "Value: {}",
            argument(arguments, "value", "")
        ))],
        "test_dynamic_tool" => vec![ContentBlock::text("Here for now")],
        _ => return None,
    };
    Some(CallToolResult::success(blocks))
}

fn mixed() -> Vec<ContentBlock> {
    vec![
        ContentBlock::text("Multiple content types test:"),
        ContentBlock::image(IMAGE, "image/png"),
        ContentBlock::resource(
            ResourceContents::text(
                r#"{"test":"data","value":123}"#,
                "test://mixed-content-resource",
            )
            .with_mime_type("application/json"),
        ),
    ]
}
