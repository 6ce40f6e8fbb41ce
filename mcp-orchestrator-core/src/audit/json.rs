//! Encodes an audit event as one line of JSON.

use std::io::Write as _;

use serde_json::json;

use super::{AuditEvent, Outcome};
use crate::time::utc;

/// Returns the line for `event`, including its newline.
pub(super) fn line(event: &AuditEvent) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    // Writing to a `Vec` and serializing strings and numbers cannot fail.
    let _ = write_line(&mut out, event);
    out
}

fn write_line(out: &mut Vec<u8>, event: &AuditEvent) -> std::io::Result<()> {
    let took = u64::try_from(event.took.as_micros()).unwrap_or(u64::MAX);
    write!(out, "{{\"at\":\"{}\",\"micros\":{took}", utc(event.at))?;
    let mut text = |name: &str, value: Option<&str>| match value {
        Some(value) => write!(out, ",\"{name}\":{}", json!(value)),
        None => Ok(()),
    };
    text("action", Some(event.action.as_str()))?;
    text("principal", event.principal.as_ref().map(|it| it.as_str()))?;
    text("gateway", event.gateway.as_ref().map(|it| it.as_str()))?;
    text("server", event.server.as_ref().map(|it| it.as_str()))?;
    text("name", event.name.as_deref())?;
    text("own_name", event.own_name.as_deref())?;
    text(
        "owner",
        event.owner.as_ref().map(ToString::to_string).as_deref(),
    )?;
    text("instance", event.instance.as_deref())?;
    text("outcome", Some(event.outcome.as_str()))?;
    if let Outcome::Failed(kind) = event.outcome {
        text("error", Some(&kind.word()))?;
    }
    if let Some(arguments) = &event.arguments {
        out.extend_from_slice(b",\"arguments\":");
        // An event must stay on one line, but a client may send its arguments pretty-printed.
        let same = arguments.iter().map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            byte => *byte,
        });
        out.extend(same);
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;

    use super::super::Action;
    use super::*;
    use crate::credential::Owner;
    use crate::error::ErrorKind;
    use crate::id::{GatewayId, PrincipalId, ServerId};

    #[test]
    fn an_event_is_one_line() {
        let ann = PrincipalId::new("ann").unwrap();
        let mut event = AuditEvent::new(Some(ann.clone()), Action::Call("tools/call".into()));
        event.at = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        event.took = Duration::from_micros(1_500);
        event.gateway = Some(GatewayId::default_gateway());
        event.server = Some(ServerId::new("jira").unwrap());
        event.name = Some("jira__say \"x\"\n".into());
        event.owner = Some(Owner::User(ann));
        event.instance = Some("jira-1".into());
        event.arguments = Some(Bytes::from_static(b"{\n\"a\":1 }"));
        let said = String::from_utf8(line(&event)).unwrap();
        assert_eq!(
            said,
            concat!(
                r#"{"at":"1970-01-01T00:00:05Z","micros":1500,"action":"tools/call","principal":"ann","#,
                r#""gateway":"default","server":"jira","name":"jira__say \"x\"\n","owner":"user/ann","#,
                r#""instance":"jira-1","outcome":"ok","arguments":{ "a":1 }}"#,
                "\n"
            )
        );
        event.outcome = Outcome::Failed(ErrorKind::Forbidden);
        event.arguments = None;
        event.own_name = Some("say".into());
        let said: serde_json::Value = serde_json::from_slice(&line(&event)).unwrap();
        assert_eq!(said["error"], "forbidden");
        assert_eq!(said["own_name"], "say");
    }
}
