//! A `server.json` of the official registry (schema 2025-12-11) as an entry of our catalog: what it needs becomes slots,
//! which whoever installs the server fills.
//!
//! Of several packages the first that can be run here is taken, else the first remote. Nothing goes through a shell, and
//! no secret into an argument.

mod shape;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize as _;
use serde_json::Value;

use self::shape::{Argument, Description, Input, Named, Package, Remote};
use super::file::{TextOr, Typed};
use super::file_server::{CredentialEntry, HeaderEntry, ServerEntry, TransportEntry};
use super::import::{Imported, ImportedVariable, variable_name};
use super::problem::{KeyPath, Problems, Report};
use crate::id::{ServerId, to_dns_label};

/// What came of it.
#[derive(Debug, Default)]
struct Described {
    entry: ServerEntry,
    /// Variables that the entry names, and where.
    variables: Vec<(String, String)>,
    notices: Vec<String>,
}

/// What stands in the file, if it is such a one: the description itself, or the registry's answer around it.
pub(super) fn description(text: &str) -> Option<Value> {
    let is = |value: &Value| {
        value.get("name").is_some_and(Value::is_string)
            && ["packages", "remotes"]
                .iter()
                .any(|key| value.get(key).is_some_and(Value::is_array))
    };
    let mut whole: Value = serde_json::from_str(text).ok()?;
    if is(&whole) {
        return Some(whole);
    }
    whole.get_mut("server").map(Value::take).filter(is)
}

/// The same as an import.
///
/// # Errors
/// Why it cannot be run here.
pub(super) fn imported(file: &Path, description: Value) -> Result<Imported, Problems> {
    let (name, path) = (file.into(), KeyPath::default());
    let mut report = Report::default();
    let made = Description::deserialize(description).map_err(|error| error.to_string());
    let made = made.and_then(|it| {
        let own = it.name.rsplit('/').next().unwrap_or_default();
        let label = to_dns_label(own).and_then(|label| ServerId::new(label).ok());
        let id = label.ok_or_else(|| format!("{:?} gives no name for a server", it.name))?;
        Ok((id, it.entry()?))
    });
    let (id, made) = match made {
        Ok(made) => made,
        Err(why) => {
            report.problem(&name, None, &path, why);
            return Err(super::import::finish(report));
        }
    };
    for notice in made.notices {
        report.notice(&name, None, &path, notice);
    }
    let mut variables: Vec<ImportedVariable> = Vec::new();
    for (variable, used_by) in made.variables {
        let used_by = format!("{id}.{used_by}");
        match variables.iter_mut().find(|known| known.name == variable) {
            Some(known) => known.used_by.push(used_by),
            None => variables.push(ImportedVariable {
                name: variable,
                used_by: vec![used_by],
                left_behind: false,
            }),
        }
    }
    Ok(Imported {
        servers: vec![(id, made.entry)],
        variables,
        notices: report.finish(&[])?,
    })
}

impl Description {
    fn entry(&self) -> Result<Described, String> {
        let mut made = Described::default();
        let package = self.packages.iter().find(|package| package.runs());
        if let Some(package) = package {
            package.into(&mut made)?;
        } else if let Some(remote) = self.remotes.first() {
            remote.into(&mut made)?;
        } else {
            let kinds: Vec<_> = self
                .packages
                .iter()
                .map(|it| &it.registry_type[..])
                .collect();
            return Err(format!(
                "none of its packages can be run here: npm, pypi and oci can, it has {}",
                if kinds.is_empty() {
                    "none".to_owned()
                } else {
                    kinds.join(", ")
                }
            ));
        }
        let others = self.packages.len() + self.remotes.len() - 1;
        if others > 0 {
            made.notices.push(format!(
                "it can be had in {others} more ways; the first that fits here was taken"
            ));
        }
        Ok(made)
    }
}

impl Package {
    fn runs(&self) -> bool {
        matches!(&self.registry_type[..], "npm" | "pypi" | "oci")
    }

    fn into(&self, made: &mut Described) -> Result<(), String> {
        let transport = self.transport.as_ref().map_or("stdio", |it| &it.r#type[..]);
        made.entry.transport = match transport {
            "stdio" => None,
            "streamable-http" => Some(TransportEntry::Http),
            other => {
                return Err(format!(
                    "its program speaks {other}, which only a url may here"
                ));
            }
        };
        if self
            .registry_base_url
            .as_deref()
            .is_some_and(|url| !is_public(url))
        {
            made.notices.push(format!(
                "it comes from {}: set up npm or pip so that they look there",
                self.registry_base_url.as_deref().unwrap_or_default()
            ));
        }
        let at = |separator: &str| match &self.version {
            Some(version) => format!("{}{separator}{version}", self.identifier),
            None => self.identifier.clone(),
        };
        let mut command: Vec<String> = match &self.registry_type[..] {
            "npm" => vec!["npx".into(), "-y".into()],
            "pypi" => vec!["uvx".into()],
            _ => Vec::new(),
        };
        let arguments = |list: &[Argument], made: &mut Described| {
            let mut all = Vec::new();
            for argument in list {
                argument.into(&mut all, made)?;
            }
            Ok::<_, String>(all)
        };
        let own = arguments(&self.package_arguments, made)?;
        if command.is_empty() {
            // Those of a container's runtime are about Docker's command line.
            if !self.runtime_arguments.is_empty() {
                made.notices
                    .push("its arguments for docker are left out: see `pod`".to_owned());
            }
            made.entry.image = Some(Typed(escaped(&at(":"))));
            made.entry.args = (!own.is_empty()).then(|| typed(own));
        } else {
            let before = arguments(&self.runtime_arguments, made)?;
            command.extend(before.into_iter().filter(|it| it != "-y"));
            command.push(escaped(&at("@")));
            command.extend(own);
            made.entry.command = Some(TextOr::Other(typed(command)));
        }
        for named in &self.environment_variables {
            named.into(Place::Env, made)?;
        }
        Ok(())
    }
}

impl Remote {
    fn into(&self, made: &mut Described) -> Result<(), String> {
        made.entry.transport = match &self.r#type[..] {
            "streamable-http" => None,
            "sse" => Some(TransportEntry::Sse),
            other => return Err(format!("it speaks {other}, which is not known here")),
        };
        let url = self.url.as_deref().ok_or("its remote has no url")?;
        let url = filled(url, &self.variables, "url", made)?;
        made.entry.url = Some(Typed(url));
        for named in &self.headers {
            named.into(Place::Header, made)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Env,
    Header,
}

impl Named {
    /// A fixed value stands in the entry; all else is for whoever installs it.
    fn into(&self, place: Place, made: &mut Described) -> Result<(), String> {
        let template = self.input.value.as_deref();
        let open: Vec<&str> = template.map(names).unwrap_or_default();
        let entry = &mut made.entry;
        let (input, before) = match (template, &open[..]) {
            (Some(fixed), []) => {
                let value = Typed(escaped(fixed));
                let values = match place {
                    Place::Env => &mut entry.env,
                    Place::Header => &mut entry.headers,
                };
                values
                    .get_or_insert_default()
                    .insert(self.name.clone(), value);
                return Ok(());
            }
            (Some(template), [one]) if template.ends_with(&format!("{{{one}}}")) => {
                let before = &template[..template.len() - one.len() - 2];
                if !before.is_empty() && place == Place::Env {
                    return Err(self.too_much());
                }
                (
                    self.input.variables.get(*one).unwrap_or(&self.input),
                    before,
                )
            }
            (Some(_), _) => return Err(self.too_much()),
            (None, _) => (&self.input, ""),
        };
        let mut slot = CredentialEntry {
            name: to_dns_label(&self.name),
            description: input
                .description
                .clone()
                .or_else(|| self.input.description.clone()),
            required: (!input.is_required && !self.input.is_required).then_some(false),
            plain: (!input.is_secret && !self.input.is_secret).then_some(true),
            default: input.default.clone(),
            choices: input.choices.clone().filter(|choices| !choices.is_empty()),
            ..CredentialEntry::default()
        };
        match place {
            Place::Env => slot.env = Some(self.name.clone()),
            Place::Header if before.is_empty() => {
                slot.header = Some(TextOr::Text(Typed(self.name.clone())));
            }
            Place::Header => {
                slot.header = Some(TextOr::Other(HeaderEntry {
                    name: self.name.clone(),
                    prefix: before.to_owned(),
                }));
            }
        }
        entry.credentials.get_or_insert_default().push(slot);
        Ok(())
    }

    fn too_much(&self) -> String {
        format!(
            "{} is put together of several parts, which cannot be installed",
            self.name
        )
    }
}

impl Argument {
    fn into(&self, all: &mut Vec<String>, made: &mut Described) -> Result<(), String> {
        let shown = self.name.as_deref().or(self.value_hint.as_deref());
        let shown = shown.unwrap_or("an argument").to_owned();
        let input = &self.input;
        let value = match (&input.value, &input.default) {
            (Some(template), _) => Some(filled(template, &input.variables, &shown, made)?),
            (None, Some(default)) => Some(escaped(default)),
            (None, None) if input.is_required => Some(variable(&shown, input, &shown, made)?),
            (None, None) if self.is_flag() => None,
            (None, None) => {
                let left = format!("{shown} is optional and was left out: add it to the entry");
                made.notices.push(left);
                return Ok(());
            }
        };
        if self.r#type == "named" {
            let name = self.name.as_deref();
            all.push(escaped(name.ok_or("a named argument has no name")?));
        }
        all.extend(value);
        Ok(())
    }

    /// Whether it stands for itself: nothing says that a value belongs to it.
    fn is_flag(&self) -> bool {
        let input = &self.input;
        let said = input.description.is_some() || input.choices.is_some() || input.is_secret;
        self.r#type == "named" && self.value_hint.is_none() && !said
    }
}

/// A template with its variables filled in: by what counts where nothing is given, else by variables of ours.
fn filled(
    template: &str,
    variables: &BTreeMap<String, Input>,
    used_by: &str,
    made: &mut Described,
) -> Result<String, String> {
    let mut text = escaped(template);
    for name in names(template) {
        let none = Input::default();
        let input = variables.get(name).unwrap_or(&none);
        let value = match input.value.as_ref().or(input.default.as_ref()) {
            Some(value) => escaped(value),
            None => variable(name, input, used_by, made)?,
        };
        text = text.replace(&format!("{{{name}}}"), &value);
    }
    Ok(text)
}

/// A variable of the gateway's environment in the place of what nobody has said yet.
fn variable(
    name: &str,
    input: &Input,
    used_by: &str,
    made: &mut Described,
) -> Result<String, String> {
    if input.is_secret {
        return Err(format!(
            "{used_by} holds a secret, which every user of the machine would see: it can be no argument or address"
        ));
    }
    let name = variable_name(name.trim_start_matches('-'));
    made.variables.push((name.clone(), used_by.to_owned()));
    Ok(format!("${{{name}}}"))
}

/// The names in braces.
fn names(template: &str) -> Vec<&str> {
    let parts: Vec<&str> = template.split('{').collect();
    let names = parts.windows(2).filter(|pair| !pair[0].ends_with('$'));
    let names = names.filter_map(|pair| pair[1].split_once('}').map(|(name, _)| name));
    let plain = |name: &&str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    names.filter(plain).collect()
}

/// A text that means itself in our files.
fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

fn typed(list: Vec<String>) -> Vec<Typed> {
    list.into_iter().map(Typed).collect()
}

fn is_public(url: &str) -> bool {
    [
        "https://registry.npmjs.org",
        "https://pypi.org",
        "https://docker.io",
        "https://ghcr.io",
    ]
    .iter()
    .any(|known| url.trim_end_matches('/') == *known)
}
