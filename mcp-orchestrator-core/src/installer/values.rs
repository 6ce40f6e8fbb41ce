//! Checks values against the slots of a server. No error holds a value.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};

use crate::credential::StoredCredential;
use crate::error::{Error, ErrorKind, Result};
use crate::id::SlotName;
use crate::limits::MAX_SLOT_VALUE_LEN;
use crate::server::{CredentialSlot, Injection, ServerSpec};

/// Returns the values of all slots: the given ones, else the previous ones, else the defaults. An empty text counts
/// as absent.
pub(super) fn complete(
    server: &ServerSpec,
    before: Option<&StoredCredential>,
    mut given: BTreeMap<SlotName, SecretString>,
) -> Result<BTreeMap<SlotName, SecretString>> {
    let (mut wrong, mut values) = (Vec::new(), BTreeMap::new());
    for slot in &server.slots {
        let kept = || before.and_then(|before| before.values.get(&slot.name).cloned());
        let default = || slot.form.default.as_deref().map(SecretString::from);
        let value = given.remove(&slot.name);
        let value = value.filter(|value| !value.expose_secret().is_empty());
        match value.or_else(kept).or_else(default) {
            Some(value) => {
                wrong.extend(check(slot, value.expose_secret()));
                values.insert(slot.name.clone(), value);
            }
            None if slot.required => wrong.push(format!("slot {} needs a value", slot.name)),
            None => {}
        }
    }
    let known: Vec<&str> = server.slots.iter().map(|slot| slot.name.as_str()).collect();
    for name in given.keys() {
        let known = known.join(", ");
        wrong.push(format!("there is no slot {name}; its slots are {known}"));
    }
    if wrong.is_empty() {
        return Ok(values);
    }
    let text = format!("server {}: {}", server.id, wrong.join("; "));
    Err(Error::new(ErrorKind::InvalidParams, text).with_server(&server.id))
}

fn check(slot: &CredentialSlot, value: &str) -> Option<String> {
    let name = &slot.name;
    if value.len() > MAX_SLOT_VALUE_LEN {
        return Some(format!(
            "the value of slot {name} is longer than {MAX_SLOT_VALUE_LEN} bytes"
        ));
    }
    if !slot.form.choices.is_empty() && !slot.form.choices.iter().any(|choice| choice == value) {
        let choices = slot.form.choices.join(", ");
        return Some(format!("the value of slot {name} must be one of {choices}"));
    }
    let fits = match &slot.inject {
        Injection::Header { .. } => http::HeaderValue::from_str(value).is_ok(),
        Injection::Env(_) => !value.contains('\0'),
        Injection::File { .. } => true,
    };
    (!fits)
        .then(|| format!("the value of slot {name} contains a character that is not allowed there"))
}
