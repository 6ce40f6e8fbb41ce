//! Form fields for a server's slots, and the values that were submitted.

use maud::{Markup, html};
use mcp_orchestrator_core::installer::InstallationInfo;
use mcp_orchestrator_core::server::{CredentialSlot, Injection, ServerSpec};
use secrecy::{ExposeSecret as _, SecretString};

use super::form::Form;
use super::values::{Values, signs_in};

/// Returns the name of a slot's field.
fn name(slot: &CredentialSlot) -> String {
    format!("slot.{}", slot.name)
}

/// Returns the slots that have a form field: all except the slot of a token that is obtained by signing in.
fn typed(server: &ServerSpec) -> impl Iterator<Item = &CredentialSlot> {
    let token = server.oauth.as_ref().filter(|_| signs_in(server));
    let token = token.map(|oauth| &oauth.slot);
    server
        .slots
        .iter()
        .filter(move |slot| Some(&slot.name) != token)
}

/// Returns the label of the button that submits the form, and the note that explains it.
pub(super) fn button(server: &ServerSpec) -> (&'static str, &'static str) {
    if signs_in(server) {
        return (
            "Sign in",
            "You sign in at the server's provider. The token is tested before it is saved, and renews automatically.",
        );
    }
    (
        "Test and save",
        "We first start the server with these values and list its tools. Nothing is saved unless that works.",
    )
}

/// Reads the values of a server's slots from a form.
pub(super) fn read(server: &ServerSpec, form: &mut Form) -> Values {
    let given = typed(server).filter_map(|slot| {
        let value = form.take(&name(slot))?;
        let value = match slot.inject {
            // Browsers submit CRLF line ends, which files do not use.
            Injection::File { .. } => {
                SecretString::from(value.expose_secret().replace("\r\n", "\n"))
            }
            Injection::Env(_) | Injection::Header { .. } => value,
        };
        Some((slot.name.clone(), value))
    });
    given.collect()
}

/// Returns the fields. A plain slot shows its submitted or installed value; a secret slot is always empty.
pub(super) fn all(
    server: &ServerSpec,
    installed: Option<&InstallationInfo>,
    given: &Values,
) -> Markup {
    html! {
        @for (number, slot) in typed(server).enumerate() {
            @let kept = installed.and_then(|info| info.slots.get(&slot.name));
            (field(slot, &format!("slot-{number}"), (kept, given.get(&slot.name))))
        }
    }
}

type Known<'v> = (Option<&'v Option<String>>, Option<&'v SecretString>);

fn field(slot: &CredentialSlot, id: &str, (kept, given): Known<'_>) -> Markup {
    let needed = slot.required && kept.is_none() && slot.form.default.is_none();
    let hint = format!("{id}-hint");
    let is_hinted = slot.description.is_some() || kept.is_some() && !slot.form.plain;
    let described = is_hinted.then_some(&hint);
    let shown = slot.form.plain.then(|| {
        let given = given.map(|value| value.expose_secret());
        let kept = kept.and_then(Option::as_deref);
        given
            .or(kept)
            .or(slot.form.default.as_deref())
            .unwrap_or_default()
    });
    let is_file = matches!(slot.inject, Injection::File { .. });
    html! {
        div.field {
            label for=(id) { (slot.name) " " span.note { @if needed { "(required)" } @else { "(optional)" } } }
            @if is_hinted {
                p.hint id=(hint) {
                    @if let Some(description) = &slot.description { (description) " " }
                    @if kept.is_some() && !slot.form.plain { span.note { "Leave it empty to keep what is there." } }
                }
            }
            @if !slot.form.choices.is_empty() {
                (choices(slot, id, (needed, described), shown.unwrap_or_default()))
            } @else if is_file {
                textarea id=(id) name=(name(slot)) required[needed] aria-describedby=[described] autocomplete="off"
                    spellcheck="false" { (shown.unwrap_or_default()) }
            } @else if slot.form.plain {
                input id=(id) name=(name(slot)) type="text" value=(shown.unwrap_or_default()) required[needed]
                    aria-describedby=[described] autocomplete="off" autocapitalize="off" spellcheck="false";
            } @else {
                input id=(id) name=(name(slot)) type="password" required[needed] aria-describedby=[described]
                    autocomplete="off" autocapitalize="off" spellcheck="false";
            }
        }
    }
}

fn choices(
    slot: &CredentialSlot,
    id: &str,
    (needed, described): (bool, Option<&String>),
    chosen: &str,
) -> Markup {
    html! {
        select id=(id) name=(name(slot)) required[needed] aria-describedby=[described] {
            option value="" selected[chosen.is_empty()] { "Choose…" }
            @for choice in &slot.form.choices {
                option value=(choice) selected[choice == chosen] { (choice) }
            }
        }
    }
}
