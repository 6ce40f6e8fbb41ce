//! `tools`, `prompts`, `resources`: lists what servers offer.

use mcp_orchestrator_core::orchestrator::Unlisted;
use mcp_orchestrator_core::router::ItemKind;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::args::{ListArgs, Output};
use crate::connection::Site;
use crate::embedded::Carrier;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::spinner::Spinner;

/// The kind of items to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Tools,
    Prompts,
    Resources,
}

/// The lists received.
struct Lists {
    items: Vec<Value>,
    /// Resource templates.
    templates: Vec<Value>,
    missing: Vec<Unlisted>,
}

pub(crate) async fn run(args: &ListArgs, what: Listed, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let waiting = Spinner::on(&format!("asking for {}", what.name()));
    let lists = match &args.server {
        Some(server) => {
            let carrier = Carrier::find(&site, server).await?;
            let lists = what.of_server(&carrier, server).await;
            carrier.end().await;
            lists?
        }
        None => what.of_gateway(&site, &args.gateway).await?,
    };
    drop(waiting);
    match form {
        Output::Json => what.print_json(&lists)?,
        Output::Table => what.print(&lists)?,
    }
    for missing in &lists.missing {
        output::note(&format!(
            "{} of {} are missing: {}",
            what.name(),
            missing.server,
            missing.reason
        ));
    }
    let nothing = lists.items.is_empty() && lists.templates.is_empty();
    Ok(if nothing && !lists.missing.is_empty() {
        Exit::Failed
    } else {
        Exit::Done
    })
}

impl Listed {
    fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
        }
    }

    fn kind(self) -> ItemKind {
        match self {
            Self::Tools => ItemKind::Tool,
            Self::Prompts => ItemKind::Prompt,
            Self::Resources => ItemKind::Resource,
        }
    }

    async fn of_server(self, carrier: &Carrier, server: &str) -> Result<Lists, Failure> {
        let items = values(&carrier.list(server, self.kind()).await?);
        let templates = match self {
            Self::Resources => values(&carrier.list(server, ItemKind::Template).await?),
            _ => Vec::new(),
        };
        Ok(Lists {
            items,
            templates,
            missing: Vec::new(),
        })
    }

    async fn of_gateway(self, site: &Site, gateway: &str) -> Result<Lists, Failure> {
        let client = site.client();
        Ok(match self {
            Self::Tools => {
                let found = site.told(client.gateway_tools(gateway).await)?;
                Lists {
                    items: values(&found.tools),
                    templates: Vec::new(),
                    missing: found.missing,
                }
            }
            Self::Prompts => {
                let found = site.told(client.gateway_prompts(gateway).await)?;
                Lists {
                    items: values(&found.prompts),
                    templates: Vec::new(),
                    missing: found.missing,
                }
            }
            Self::Resources => {
                let found = site.told(client.gateway_resources(gateway).await)?;
                Lists {
                    items: values(&found.resources),
                    templates: values(&found.templates),
                    missing: found.missing,
                }
            }
        })
    }

    fn print_json(self, lists: &Lists) -> Result<(), Failure> {
        match self {
            Self::Resources => output::json(&json!({
                "resources": lists.items,
                "templates": lists.templates,
            })),
            _ => output::json(&lists.items),
        }
    }

    fn print(self, lists: &Lists) -> Result<(), Failure> {
        let none = format!("no {}", self.name());
        if self == Self::Resources {
            let rows: Vec<[String; 4]> = lists
                .items
                .iter()
                .map(|item| resource(item, "uri"))
                .chain(
                    lists
                        .templates
                        .iter()
                        .map(|item| resource(item, "uriTemplate")),
                )
                .collect();
            return output::table(["URI", "NAME", "TYPE", "DESCRIPTION"], &rows, &none);
        }
        let rows: Vec<[String; 3]> = lists
            .items
            .iter()
            .map(|item| [text(item, "name"), self.arguments(item), about(item)])
            .collect();
        let first = match self {
            Self::Tools => "TOOL",
            _ => "PROMPT",
        };
        output::table([first, "ARGUMENTS", "DESCRIPTION"], &rows, &none)
    }

    /// Returns the names of an item's arguments; optional ones in brackets.
    fn arguments(self, item: &Value) -> String {
        let names: Vec<(String, bool)> = match self {
            Self::Tools => {
                let schema = &item["inputSchema"];
                let required: Vec<&str> = schema["required"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let names = schema["properties"].as_object().into_iter().flatten();
                names
                    .map(|(name, _)| (name.clone(), required.contains(&name.as_str())))
                    .collect()
            }
            _ => {
                let arguments = item["arguments"].as_array().into_iter().flatten();
                arguments
                    .map(|argument| (text(argument, "name"), argument["required"] == true))
                    .collect()
            }
        };
        let shown = names.into_iter().map(|(name, required)| match required {
            true => name,
            false => format!("[{name}]"),
        });
        let shown: Vec<String> = shown.collect();
        if shown.is_empty() {
            "-".to_owned()
        } else {
            shown.join(" ")
        }
    }
}

fn values(items: &[Box<RawValue>]) -> Vec<Value> {
    let read = |item: &RawValue| serde_json::from_str(item.get()).unwrap_or_default();
    items.iter().map(|item| read(item)).collect()
}

fn text(item: &Value, key: &str) -> String {
    item[key].as_str().unwrap_or_default().to_owned()
}

fn about(item: &Value) -> String {
    let description = item["description"].as_str().unwrap_or_default();
    description.lines().next().unwrap_or_default().to_owned()
}

fn resource(item: &Value, uri: &str) -> [String; 4] {
    [
        text(item, uri),
        text(item, "name"),
        text(item, "mimeType"),
        about(item),
    ]
}
