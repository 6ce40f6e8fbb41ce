//! Values that a description leaves open: they become slots, or variables of the server.

use std::collections::BTreeMap;

pub(super) use super::super::translate::escaped;
use super::super::translate::{Part, rendered};
use crate::config::import::builder::EntryBuilder;
use crate::config::import::registry::server_json::{Argument, Input, Named};
use crate::config::resolve::check;
use crate::config::schema::server::{CredentialEntry, HeaderEntry};
use crate::config::schema::value::{TextOr, Typed};
use crate::id::to_dns_label;

/// Where a value is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Env,
    Header,
}

impl Named {
    /// Adds the value to the entry: a fixed value is copied, a value that each user must provide becomes a slot, and a
    /// value composed of several parts is set by the operator.
    pub(super) fn make(&self, place: Place, made: &mut EntryBuilder) -> Result<(), String> {
        if !self.fits(place, made)? {
            return Ok(());
        }
        let template = self.input.value.as_deref();
        let open: Vec<&str> = template.map(names).unwrap_or_default();
        match (template, &open[..]) {
            (Some(fixed), []) => {
                self.fix(place, escaped(fixed), made);
                Ok(())
            }
            (Some(template), [one])
                if template.ends_with(&format!("{{{one}}}"))
                    && (place == Place::Header || template.len() == one.len() + 2) =>
            {
                let before = &template[..template.len() - one.len() - 2];
                match self.input.variables.get(*one) {
                    Some(Input {
                        value: Some(value), ..
                    }) => self.fix(place, escaped(&format!("{before}{value}")), made),
                    Some(input) => self.slot(place, input, before, made),
                    // The variable is not described.
                    None => self.slot(place, &self.input, before, made),
                }
                Ok(())
            }
            (Some(template), names) => {
                self.composed(place, template, names, made);
                Ok(())
            }
            (None, _) => {
                self.slot(place, &self.input, "", made);
                Ok(())
            }
        }
    }

    /// Returns `true` if the value can be used there.
    fn fits(&self, place: Place, made: &mut EntryBuilder) -> Result<bool, String> {
        match place {
            Place::Env => check::env_name(&self.name)?,
            Place::Header => {
                let name = check::header_name(&self.name)?;
                if check::is_own_header(&name) {
                    made.notice(format!(
                        "the header {} is left out: the gateway sets it",
                        self.name
                    ));
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn fix(&self, place: Place, value: String, made: &mut EntryBuilder) {
        let values = match place {
            Place::Env => &mut made.entry.env,
            Place::Header => &mut made.entry.headers,
        };
        values
            .get_or_insert_default()
            .insert(self.name.clone(), Typed(value));
    }

    /// Adds a composed value: each part becomes a variable of the server, with its default.
    fn composed(&self, place: Place, template: &str, names: &[&str], made: &mut EntryBuilder) {
        let none = Input::default();
        let of = |name: &str| self.input.variables.get(name).unwrap_or(&none);
        let open = names.iter().filter(|name| {
            let input = of(name);
            input.value.is_none() && input.default.is_none()
        });
        let open: Vec<&str> = open.copied().collect();
        let required = self.input.is_required || open.iter().any(|name| of(name).is_required);
        if !open.is_empty() && !required {
            made.notice(format!(
                "{} is optional and left out; add it to the entry if needed",
                self.name
            ));
            return;
        }
        let section = if place == Place::Env {
            "env"
        } else {
            "headers"
        };
        let used_by = format!("{section}.{}", self.name);
        let value = composed(template, names, |name| {
            let input = of(name);
            match (&input.value, &input.default) {
                (Some(value), _) => Part::Literal(value.clone()),
                (None, Some(default)) if !default.contains(['}', '$']) => {
                    Part::Reference(format!("{}:-{default}", made.own_variable(name)))
                }
                (None, Some(default)) => Part::Literal(default.clone()),
                (None, None) => made.variable(name, &used_by),
            }
        });
        if !open.is_empty() {
            made.notice(format!(
                "{} has several parts, so it is the same for all callers",
                self.name
            ));
        }
        self.fix(place, value, made);
    }

    fn slot(&self, place: Place, input: &Input, before: &str, made: &mut EntryBuilder) {
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
        made.entry.credentials.get_or_insert_default().push(slot);
    }
}

impl Argument {
    /// Appends the argument to the list.
    pub(super) fn make(
        &self,
        all: &mut Vec<String>,
        made: &mut EntryBuilder,
    ) -> Result<(), String> {
        let shown = self.name.as_deref().or(self.value_hint.as_deref());
        let shown = shown.unwrap_or("an argument").to_owned();
        let input = &self.input;
        let value = match (&input.value, &input.default) {
            (Some(template), _) => Some(filled(template, &input.variables, &shown, made)?),
            (None, Some(default)) => Some(escaped(default)),
            (None, None) if input.is_required => {
                Some(rendered(&[variable(&shown, input, &shown, made)?]))
            }
            (None, None) if self.is_flag() => None,
            (None, None) => {
                made.notice(format!(
                    "{shown} is optional and left out; add it to the entry if needed"
                ));
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

    /// Returns `true` if the argument is a flag: nothing indicates that it takes a value.
    fn is_flag(&self) -> bool {
        let input = &self.input;
        let said = input.description.is_some() || input.choices.is_some() || input.is_secret;
        self.r#type == "named" && self.value_hint.is_none() && !said
    }
}

/// Fills in the variables of a template with their values or defaults, or with variables of the server.
pub(in crate::config::import) fn filled(
    template: &str,
    variables: &BTreeMap<String, Input>,
    used_by: &str,
    made: &mut EntryBuilder,
) -> Result<String, String> {
    let none = Input::default();
    let mut wrong = None;
    let names = names(template);
    let text = composed(template, &names, |name| {
        if made.port_name.as_deref() == Some(name) {
            return Part::Reference("PORT".to_owned());
        }
        let input = variables.get(name).unwrap_or(&none);
        match input.value.as_ref().or(input.default.as_ref()) {
            Some(value) => Part::Literal(value.clone()),
            None => variable(name, input, used_by, made).unwrap_or_else(|why| {
                wrong.get_or_insert(why);
                Part::Literal(String::new())
            }),
        }
    });
    wrong.map_or(Ok(text), Err)
}

/// Returns a variable for a value that is not given yet.
fn variable(
    name: &str,
    input: &Input,
    used_by: &str,
    made: &mut EntryBuilder,
) -> Result<Part, String> {
    if input.is_secret {
        return Err(format!(
            "{used_by} contains a secret, which every user of the machine could read in an argument or URL"
        ));
    }
    Ok(made.variable(name, used_by))
}

/// Replaces each `{name}` of the template in one pass; inserted text is not expanded again.
fn composed(template: &str, names: &[&str], mut of: impl FnMut(&str) -> Part) -> String {
    let mut parts = Vec::new();
    let mut rest = template;
    for name in names {
        let braced = format!("{{{name}}}");
        let Some(at) = rest.find(&braced) else {
            continue;
        };
        parts.push(Part::Literal(rest[..at].to_owned()));
        parts.push(of(name));
        rest = &rest[at + braced.len()..];
    }
    parts.push(Part::Literal(rest.to_owned()));
    rendered(&parts)
}

/// Returns the names in braces, in order.
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
