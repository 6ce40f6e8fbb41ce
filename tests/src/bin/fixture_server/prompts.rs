//! The prompts, and the completion of their arguments.

use rmcp::{
    ErrorData,
    model::{
        ArgumentInfo, ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult,
        Prompt, PromptArgument, PromptMessage, Reference, ResourceContents, Role,
    },
};
use serde_json::json;

use crate::{
    content::{IMAGE, argument},
    mrtr::{Round, elicit},
};

/// The completions of arguments of prompts and of the resource template.
const WORDS: [&str; 6] = ["paris", "park", "party", "test", "testing", "tests"];

/// Returns the prompts in order; the last one is dynamic.
pub(crate) fn list(dynamic: bool) -> Vec<Prompt> {
    let argument = |name: &str, description: &str| {
        PromptArgument::new(name)
            .with_description(description)
            .with_required(true)
    };
    let mut prompts = vec![
        prompt("test_simple_prompt", "A prompt without arguments", None),
        prompt(
            "test_prompt_with_arguments",
            "A prompt with two arguments",
            Some(vec![
                argument("arg1", "First test argument"),
                argument("arg2", "Second test argument"),
            ]),
        ),
        prompt(
            "test_prompt_with_embedded_resource",
            "A prompt that embeds a resource",
            Some(vec![argument(
                "resourceUri",
                "URI of the resource to embed",
            )]),
        ),
        prompt("test_prompt_with_image", "A prompt with an image", None),
        prompt(
            "test_input_required_result_prompt",
            "A prompt that asks for its context first",
            None,
        ),
    ];
    if dynamic {
        prompts.push(prompt(
            "test_dynamic_prompt",
            "A prompt that comes and goes",
            None,
        ));
    }
    prompts
}

fn prompt(name: &str, description: &str, arguments: Option<Vec<PromptArgument>>) -> Prompt {
    Prompt::new(name, Some(description), arguments)
}

/// Answers `prompts/get`.
pub(crate) fn get(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let arguments = request.arguments.clone().unwrap_or_default();
    let messages = match request.name.as_str() {
        "test_simple_prompt" | "test_dynamic_prompt" => {
            vec![user_text("This is a simple prompt for testing.")]
        }
        "test_prompt_with_arguments" => vec![user_text(&format!(
            "Prompt with arguments: arg1='{}', arg2='{}'",
            argument(&arguments, "arg1", ""),
            argument(&arguments, "arg2", "")
        ))],
        "test_prompt_with_embedded_resource" => {
            let uri = argument(&arguments, "resourceUri", "test://static-text");
            let resource = ResourceContents::text("Embedded resource content for testing.", uri)
                .with_mime_type("text/plain");
            vec![
                PromptMessage::new(Role::User, ContentBlock::resource(resource)),
                user_text("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => vec![
            PromptMessage::new(Role::User, ContentBlock::image(IMAGE, "image/png")),
            user_text("Please analyze the image above."),
        ],
        "test_input_required_result_prompt" => return with_context(request),
        name => {
            let reason = format!("unknown prompt: {name}");
            return Err(ErrorData::invalid_params(reason, None));
        }
    };
    Ok(GetPromptResult::new(messages).into())
}

fn with_context(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let round = Round::open(
        request.input_responses.as_ref(),
        request.request_state.as_deref(),
    )?;
    match round.field("user_context", "context") {
        Some(context) => {
            let messages = vec![user_text(&format!("Use this context: {context}"))];
            Ok(GetPromptResult::new(messages).into())
        }
        None => {
            let question = elicit("What context should the prompt use?", "context", "string");
            let requests = json!({ "user_context": question });
            round.ask(requests, None).map(Into::into)
        }
    }
}

fn user_text(text: &str) -> PromptMessage {
    PromptMessage::new_text(Role::User, text)
}

/// Returns the completions of an existing argument.
pub(crate) fn complete(reference: &Reference, argument: &ArgumentInfo) -> Vec<String> {
    let known = match reference {
        Reference::Prompt(prompt) => list(true)
            .into_iter()
            .filter(|known| known.name == prompt.name)
            .flat_map(|known| known.arguments.unwrap_or_default())
            .any(|known| known.name == argument.name),
        _ => argument.name == "id",
    };
    WORDS
        .iter()
        .filter(|word| known && word.starts_with(&argument.value))
        .map(ToString::to_string)
        .collect()
}
