//! The page of a link: what is to be set up, for which owner, and the form. A link is valid only for its principal, for
//! a limited time and once.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use maud::html;
use mcp_orchestrator_core::credential::{InstallationKey, Link, LinkId, LinkReason};
use mcp_orchestrator_core::installer::{InstallationInfo, NewInstallation};
use mcp_orchestrator_core::server::ServerSpec;

use super::error_box::ErrorBox;
use super::fields;
use super::form::{Form, Proof};
use super::html::{Page, message, refused};
use super::oauth;
use super::values::{Values, signs_in};
use super::visitor::Visitor;
use super::{Pages, Shared};

/// A link that its visitor may use, and its subject.
struct Opened {
    visitor: Visitor,
    link: Link,
    server: Arc<ServerSpec>,
    installed: Option<InstallationInfo>,
}

pub(super) async fn show(
    State(pages): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    match open(&pages, &parts, &id).await {
        Ok((opened, _)) => page(&pages, &parts, &opened, None),
        Err(response) => response,
    }
}

pub(super) async fn submit(
    State(pages): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let (opened, id) = match open(&pages, &parts, &id).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    let form = Form::read(&pages, (&parts, body), opened.visitor.id()).await;
    let mut form = match form {
        Ok(form) => form,
        Err(error) => return refused(&error),
    };
    let values = fields::read(&opened.server, &mut form);
    let subject = &opened.link.subject;
    let key = InstallationKey {
        server: subject.server.clone(),
        owner: subject.owner.clone(),
    };
    if signs_in(&opened.server) {
        let new = (&opened.visitor.actor, &key, values);
        let begun = oauth::begin(&pages, &parts, new, Some(&id)).await;
        return begun.unwrap_or_else(|error| {
            let wrong = (ErrorBox::new(&error, &Values::new()), Values::new());
            page(&pages, &parts, &opened, Some(wrong))
        });
    }
    let new = NewInstallation {
        key,
        values: values.clone(),
        expires_at: None,
        rotate: opened.installed.is_some(),
        check: true,
    };
    let once = (&*pages.links, &id);
    match pages
        .installer
        .install_by_link(&opened.visitor.actor, new, once)
        .await
    {
        Ok(info) => oauth::done(&pages, &info.key, Vec::new()),
        Err(error) => {
            let wrong = ErrorBox::new(&error, &values);
            page(&pages, &parts, &opened, Some((wrong, values)))
        }
    }
}

/// Returns the link if this visitor may use it.
async fn open(pages: &Pages, parts: &Parts, id: &str) -> Result<(Opened, LinkId), Response> {
    // Nothing is revealed before the visitor is known, not even whether the link exists.
    let visitor = pages.visitor(parts).await?;
    let Some(id) = LinkId::parse(id) else {
        return Err(gone());
    };
    let found = pages
        .links
        .find(&id)
        .await
        .map_err(|error| refused(&error))?;
    let link = found.ok_or_else(gone)?;
    let subject = &link.subject;
    if subject.principal != visitor.actor.principal.id {
        return Err(somebody_elses(pages, parts, &visitor));
    }
    let catalog = pages.installer.catalog(&visitor.actor).into_iter();
    let entry = catalog
        .map(|entry| entry.server)
        .find(|server| server.id == subject.server);
    let server = entry.ok_or_else(gone)?;
    let installed = pages.installer.installations(&visitor.actor).await;
    let installed = installed.map_err(|error| refused(&error))?.into_iter();
    let is_it = |info: &InstallationInfo| {
        info.key.server == subject.server && info.key.owner == subject.owner
    };
    let opened = Opened {
        installed: installed.into_iter().find(is_it),
        visitor,
        server,
        link,
    };
    Ok((opened, id))
}

fn gone() -> Response {
    let text = "It was used, it has ended after ten minutes, or it never was one. Call the tool again: its answer has a new \
                link.";
    message(
        StatusCode::NOT_FOUND,
        "This link has expired or was already used",
        text,
    )
}

fn somebody_elses(pages: &Pages, parts: &Parts, visitor: &Visitor) -> Response {
    let proof = Proof::new(pages, parts, visitor.id());
    let body = html! {
        p { "Only the person who called the tool can use this link. Nothing was changed." }
        p { "If it was you under another name, sign out and open the link again." }
    };
    let mut page =
        Page::new("This link is for somebody else", body).with_status(StatusCode::FORBIDDEN);
    page.top = visitor.top(pages, &proof);
    page.cookies = proof.cookies();
    page.response()
}

fn page(
    pages: &Pages,
    parts: &Parts,
    opened: &Opened,
    failed: Option<(ErrorBox, Values)>,
) -> Response {
    let proof = Proof::new(pages, parts, opened.visitor.id());
    let subject = &opened.link.subject;
    let (wrong, given) = failed.map_or((None, BTreeMap::new()), |(wrong, given)| {
        (Some(wrong), given)
    });
    let names: Vec<&str> = opened
        .server
        .slots
        .iter()
        .map(|slot| slot.name.as_str())
        .collect();
    let (button, note) = fields::button(&opened.server);
    let body = html! {
        @if let Some(wrong) = &wrong {
            (wrong.shown(Some("That didn't work; nothing was saved.")))
        }
        p {
            @match opened.link.why {
                LinkReason::Missing => "A tool that you called needs a credential, and none is installed.",
                LinkReason::Expired => "A tool was called whose credential no longer works.",
            }
        }
        dl {
            dt { "Server" } dd { strong { (subject.server) } }
            dt { "For" } dd { (subject.owner) }
            dt { "Stored encrypted" } dd { (names.join(", ")) }
        }
        form method="post" {
            (proof.field())
            (fields::all(&opened.server, opened.installed.as_ref(), &given))
            div.actions { button type="submit" { (button) } }
            p.note { (note) }
        }
    };
    let title = format!("Connect {}", subject.server);
    let status = if wrong.is_some() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let mut page = Page::new(&title, body).with_status(status);
    page.top = opened.visitor.top(pages, &proof);
    page.cookies = proof.cookies();
    page.response()
}
