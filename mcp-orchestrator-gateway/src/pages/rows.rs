//! One row in the list of servers: the owner, the state, and the available actions.

use std::time::SystemTime;

use maud::{Markup, html};
use mcp_orchestrator_core::credential::{InstallationKey, Owner};
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::installer::{InstallationInfo, Renewing};
use mcp_orchestrator_core::time::utc;

use super::Pages;
use super::form::Proof;

/// Returns the address of an action on an installation.
pub(super) fn action(pages: &Pages, key: &InstallationKey, verb: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("owner", &key.owner.to_string());
    pages.at(&format!("/servers/{}{verb}?{}", key.server, query.finish()))
}

/// The row of an owner that the visitor manages.
pub(super) fn managed(
    pages: &Pages,
    (server, owner): (&ServerId, &Owner),
    (installed, proof): (Option<&InstallationInfo>, &Proof),
) -> Markup {
    let key = InstallationKey {
        server: server.clone(),
        owner: owner.clone(),
    };
    html! {
        div.row {
            div.what { p { (owner) } (state(installed)) }
            div.actions {
                @if installed.is_some() {
                    form method="post" action=(action(pages, &key, "/test")) {
                        (proof.field())
                        button.quiet type="submit" { "Test" }
                    }
                    a.button.quiet href=(action(pages, &key, "")) { "Update credentials" }
                    a.button.quiet href=(action(pages, &key, "/remove")) { "Remove" }
                } @else {
                    a.button href=(action(pages, &key, "")) { "Install" }
                }
            }
        }
    }
}

/// The row of an installation that the visitor uses and others manage.
pub(super) fn used(info: &InstallationInfo) -> Markup {
    html! {
        div.row { div.what { p { (info.key.owner) } (state(Some(info))) } }
    }
}

/// Formats a time for people, to the minute.
fn when(at: SystemTime) -> String {
    let text = utc(at);
    let minute = text.get(..16).unwrap_or(&text);
    format!("{} UTC", minute.replace('T', " "))
}

fn state(installed: Option<&InstallationInfo>) -> Markup {
    let now = SystemTime::now();
    html! {
        @match installed {
            None => p.note { "not installed" },
            Some(info) => {
                @match (&info.renewing, info.expires_at) {
                    (Renewing::Ended(why), _) => p.state.bad { "sign in again: " (why) },
                    (Renewing::Itself, _) => p.state.good { "connected, renews automatically" },
                    (Renewing::Owner, Some(at)) if at <= now => p.state.bad { "expired " (when(at)) ": set it up again" },
                    (Renewing::Owner, Some(at)) => p.state.good { "installed, counts until " (when(at)) },
                    (Renewing::Owner, None) => p.state.good { "installed" },
                }
                p.note {
                    @if let Some(at) = info.installed_at { (when(at)) }
                    @if let Some(by) = &info.installed_by { " by " (by) }
                }
            }
        }
    }
}
