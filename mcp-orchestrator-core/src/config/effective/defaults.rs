//! Defaults of settings that no file and no argument sets.

use std::time::Duration;

use serde_json::json;

use super::origin::{Effective, Origin};
use crate::config::settings::Settings;
use crate::config::settings::log::LogFormat;
use crate::server::Launch;

/// Adds the default of each key that `all` does not contain.
pub(super) fn add(settings: &Settings, all: &mut Vec<Effective>) {
    let format = format_word(settings.log.format);
    for (key, value) in [
        ("listen", settings.listen.to_string()),
        ("state_dir", settings.state_dir.display().to_string()),
        ("backend", settings.backends.default.as_str().to_owned()),
        ("max_body_bytes", settings.max_body_bytes.to_string()),
        ("log.format", format),
        ("log.level", settings.log.level.clone()),
        ("auth.local", settings.auth.local.to_string()),
        ("auth.tokens", settings.auth.tokens.to_string()),
    ] {
        unless_said(all, key.to_owned(), value);
    }
    for server in &settings.servers {
        let key = |name: &str| format!("servers.{}.{name}", server.id);
        let limits = &server.limits;
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let isolation = word(json!(server.isolation));
        let start = word(json!(server.start));
        unless_said(all, key("isolation"), isolation);
        unless_said(all, key("timeout"), span(limits.call_timeout));
        if matches!(server.launch, Launch::Program(_)) {
            unless_said(all, key("start"), start);
            unless_said(all, key("start_timeout"), span(limits.start_timeout));
        }
        let idle = limits.idle_timeout.map_or("never".to_owned(), span);
        unless_said(all, key("idle_timeout"), idle);
    }
    for gateway in &settings.gateways {
        let key = format!("gateways.{}.servers", gateway.id);
        let below = format!("{key}[");
        if all.iter().any(|known| known.key.starts_with(&below)) {
            continue;
        }
        let servers = gateway.servers.iter();
        let servers: Vec<String> = servers.map(|entry| entry.alias.to_string()).collect();
        unless_said(all, key, format!("[{}]", servers.join(", ")));
    }
}

fn unless_said(all: &mut Vec<Effective>, key: String, value: String) {
    if all.iter().any(|known| known.key == key) {
        return;
    }
    all.push(Effective {
        key,
        value,
        origin: Origin::Default,
    });
}

fn format_word(format: LogFormat) -> String {
    match format {
        LogFormat::Text => "text".to_owned(),
        LogFormat::Json => "json".to_owned(),
    }
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        secs if secs >= 60 && secs.is_multiple_of(60) => format!("{}m", secs / 60),
        secs => format!("{secs}s"),
    }
}
