//! The catalog and the installed credentials: install, inspect, test, replace, remove.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use maud::{Markup, html};
use mcp_orchestrator_core::credential::{InstallationKey, Owner};
use mcp_orchestrator_core::installer::{CatalogEntry, InstallationInfo, NewInstallation};
use mcp_orchestrator_core::server::ServerSpec;
use mcp_orchestrator_core::{Error, ErrorKind, Result};

use super::error_box::ErrorBox;
use super::fields;
use super::form::{Form, Proof};
use super::html::{Page, refused};
use super::oauth;
use super::rows;
use super::values::{Values, signs_in};
use super::visitor::Visitor;
use super::{Pages, Shared};

/// A page, or the page that is shown instead.
type Answer = Result<Response, Response>;
/// The outcome of an action, shown above the list.
type ActionOutcome = Option<Result<String, ErrorBox>>;

pub(super) async fn list(State(pages): State<Shared>, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let visitor = manager(&pages, &parts).await?;
    all(&pages, &parts, &visitor, None).await
}

/// Shows the form that installs or replaces a credential.
pub(super) async fn show(
    State(pages): State<Shared>,
    Path(server): Path<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let (visitor, chosen) = asked(&pages, &parts, &server).await?;
    Ok(form(&pages, &parts, (&visitor, &chosen), None))
}

pub(super) async fn install(
    State(pages): State<Shared>,
    Path(server): Path<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let (visitor, chosen, mut form_) = sent(&pages, (&parts, body), &server).await?;
    let values = fields::read(&chosen.server, &mut form_);
    if signs_in(&chosen.server) {
        let new = (&visitor.actor, &chosen.key, values);
        let begun = oauth::begin(&pages, &parts, new, None).await;
        return Ok(begun.unwrap_or_else(|error| {
            let wrong = (ErrorBox::new(&error, &Values::new()), Values::new());
            form(&pages, &parts, (&visitor, &chosen), Some(wrong))
        }));
    }
    let new = NewInstallation {
        key: chosen.key.clone(),
        values: values.clone(),
        expires_at: None,
        rotate: chosen.installed.is_some(),
        check: true,
    };
    match pages.installer.install(&visitor.actor, new).await {
        Ok(info) => {
            let text = format!(
                "{} works, and is set up for {}.",
                info.key.server, info.key.owner
            );
            all(&pages, &parts, &visitor, Some(Ok(text))).await
        }
        Err(error) => {
            let wrong = ErrorBox::new(&error, &values);
            Ok(form(
                &pages,
                &parts,
                (&visitor, &chosen),
                Some((wrong, values)),
            ))
        }
    }
}

pub(super) async fn ask_removal(
    State(pages): State<Shared>,
    Path(server): Path<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let (visitor, chosen) = asked(&pages, &parts, &server).await?;
    let proof = Proof::new(&pages, &parts, visitor.id());
    let body = html! {
        p { "What is stored for " strong { (chosen.key.owner) } " is deleted, and what runs with it ends at once." }
        form method="post" action=(rows::action(&pages, &chosen.key, "/remove")) {
            (proof.field())
            div.actions {
                button.bad type="submit" { "Remove" }
                a.button.quiet href=(pages.at("/servers")) { "Cancel" }
            }
        }
    };
    let title = format!("Remove {}?", chosen.key.server);
    Ok(framed(&pages, &visitor, proof, Page::new(&title, body)))
}

pub(super) async fn remove(
    State(pages): State<Shared>,
    Path(server): Path<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let (visitor, chosen, _) = sent(&pages, (&parts, body), &server).await?;
    let told = match pages.installer.uninstall(&visitor.actor, &chosen.key).await {
        Ok(()) => Ok(format!(
            "{} is removed for {}.",
            chosen.key.server, chosen.key.owner
        )),
        Err(error) => Err(ErrorBox::new(&error, &Values::new())),
    };
    all(&pages, &parts, &visitor, Some(told)).await
}

/// Tests an installation.
pub(super) async fn test(
    State(pages): State<Shared>,
    Path(server): Path<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let (visitor, chosen, _) = sent(&pages, (&parts, body), &server).await?;
    let told = match pages.installer.test(&visitor.actor, &chosen.key).await {
        Ok(tools) => Ok(format!(
            "{} works for {}: it lists {tools} tools.",
            chosen.key.server, chosen.key.owner
        )),
        Err(error) => {
            let text = format!(
                "{} does not work for {}",
                chosen.key.server, chosen.key.owner
            );
            Err(ErrorBox::new(&error, &Values::new()).about(&text))
        }
    };
    all(&pages, &parts, &visitor, Some(told)).await
}

/// The server and the owner that a request is about.
struct Chosen {
    key: InstallationKey,
    server: Arc<ServerSpec>,
    installed: Option<InstallationInfo>,
}

/// Returns a visitor that may manage installations.
async fn manager(pages: &Pages, parts: &Parts) -> Result<Visitor, Response> {
    let visitor = pages.visitor(parts).await?;
    if visitor.bound {
        let text = "this token is for the calls of one gateway alone: show another one";
        return Err(refused(&Error::new(ErrorKind::Forbidden, text)));
    }
    Ok(visitor)
}

async fn asked(pages: &Pages, parts: &Parts, server: &str) -> Result<(Visitor, Chosen), Response> {
    let visitor = manager(pages, parts).await?;
    let chosen = chosen(pages, &visitor, (server, parts)).await;
    let chosen = chosen.map_err(|error| refused(&error))?;
    Ok((visitor, chosen))
}

async fn sent(
    pages: &Pages,
    (parts, body): (&Parts, Body),
    server: &str,
) -> Result<(Visitor, Chosen, Form), Response> {
    let (visitor, chosen) = asked(pages, parts, server).await?;
    let form = Form::read(pages, (parts, body), visitor.id()).await;
    Ok((visitor, chosen, form.map_err(|error| refused(&error))?))
}

async fn chosen(
    pages: &Pages,
    visitor: &Visitor,
    (server, parts): (&str, &Parts),
) -> Result<Chosen> {
    let query = parts.uri.query().unwrap_or_default();
    let mut query = form_urlencoded::parse(query.as_bytes());
    let owner = query.find(|(name, _)| name == "owner");
    let owner = owner.map_or_else(|| "me".into(), |(_, owner)| owner);
    let owner = visitor.actor.owner(&owner)?;
    let catalog = pages.installer.catalog(&visitor.actor).into_iter();
    let entry = catalog
        .map(|entry| entry.server)
        .find(|spec| spec.id.as_str() == server);
    let Some(spec) = entry else {
        return Err(Error::new(ErrorKind::NoRoute, "server not found"));
    };
    let installed = pages.installer.installations(&visitor.actor).await?;
    let is_it = |info: &InstallationInfo| info.key.server == spec.id && info.key.owner == owner;
    let key = InstallationKey {
        server: spec.id.clone(),
        owner: owner.clone(),
    };
    let installed = installed.into_iter().find(is_it);
    Ok(Chosen {
        key,
        installed,
        server: spec,
    })
}

fn form(
    pages: &Pages,
    parts: &Parts,
    (visitor, chosen): (&Visitor, &Chosen),
    failed: Option<(ErrorBox, Values)>,
) -> Response {
    let proof = Proof::new(pages, parts, visitor.id());
    let (wrong, given) = failed.map_or((None, BTreeMap::new()), |(wrong, given)| {
        (Some(wrong), given)
    });
    let (button, note) = fields::button(&chosen.server);
    let body = html! {
        @if let Some(wrong) = &wrong {
            (wrong.shown(Some("That didn't work; nothing was saved.")))
        }
        dl { dt { "Server" } dd { strong { (chosen.key.server) } } dt { "For" } dd { (chosen.key.owner) } }
        form method="post" action=(rows::action(pages, &chosen.key, "")) {
            (proof.field())
            (fields::all(&chosen.server, chosen.installed.as_ref(), &given))
            div.actions {
                button type="submit" { (button) }
                a.button.quiet href=(pages.at("/servers")) { "Back" }
            }
            p.note { (note) }
        }
    };
    let verb = if chosen.installed.is_some() {
        "Update credentials"
    } else {
        "Install"
    };
    let title = format!("{verb}: {}", chosen.key.server);
    let status = if wrong.is_some() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    framed(
        pages,
        visitor,
        proof,
        Page::new(&title, body).with_status(status),
    )
}

async fn all(pages: &Pages, parts: &Parts, visitor: &Visitor, told: ActionOutcome) -> Answer {
    let installed = pages.installer.installations(&visitor.actor).await;
    let installed = installed.map_err(|error| refused(&error))?;
    let proof = Proof::new(pages, parts, visitor.id());
    let catalog = pages.installer.catalog(&visitor.actor);
    let body = html! {
        (said(told.as_ref()))
        @if catalog.is_empty() { p { "No server that you may use needs a credential." } }
        @for entry in &catalog { (card(pages, entry, (&installed, &proof))) }
    };
    Ok(framed(
        pages,
        visitor,
        proof,
        Page::new("Your servers", body),
    ))
}

fn said(told: Option<&Result<String, ErrorBox>>) -> Markup {
    html! {
        @match told {
            Some(Ok(text)) => p.told.good role="status" { (text) },
            Some(Err(wrong)) => (wrong.shown(None)),
            None => {}
        }
    }
}

fn card(
    pages: &Pages,
    entry: &CatalogEntry,
    (installed, proof): (&[InstallationInfo], &Proof),
) -> Markup {
    let of = |owner: &Owner| {
        installed
            .iter()
            .find(|info| info.key.server == entry.server.id && info.key.owner == *owner)
    };
    let others = installed.iter().filter(|info| {
        info.key.server == entry.server.id && !entry.owners.contains(&info.key.owner)
    });
    html! {
        section.card {
            h2 { (entry.server.id) }
            @for owner in &entry.owners { (rows::managed(pages, (&entry.server.id, owner), (of(owner), proof))) }
            @for info in others { (rows::used(info)) }
            @if entry.owners.is_empty() { p.note { "A team manager or an admin sets this up." } }
        }
    }
}

fn framed(pages: &Pages, visitor: &Visitor, proof: Proof, mut page: Page<'_>) -> Response {
    page.top = visitor.top(pages, &proof);
    page.cookies = proof.cookies();
    page.response()
}
