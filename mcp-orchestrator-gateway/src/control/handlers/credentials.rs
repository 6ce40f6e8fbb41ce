//! Request handlers for tokens, the catalog and installations. Each acts within the caller's rights.

use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use mcp_orchestrator_core::audit::Action;
use mcp_orchestrator_core::auth::{NewToken, Principal};
use mcp_orchestrator_core::credential::{InstallationKey, Owner};
use mcp_orchestrator_core::id::{GatewayId, SlotName};
use mcp_orchestrator_core::installer::{Actor, Installer, NewInstallation};
use mcp_orchestrator_core::router::Router as _;

use super::answer::{Answer, id, invalid, ok, read};
use super::rights::admin;
use crate::control::Control;
use crate::control::wire::credentials::{
    Catalog, InstallRequest, InstallationText, Installations, SecretText, TokenMade, TokenRequest,
    TokenText, Tokens, UninstallRequest, Uninstalled,
};

/// The longest lifetime of a token with an expiry, in seconds: ten years.
const MAX_TOKEN_LIFETIME: u64 = 10 * 366 * 24 * 3600;

/// How long a response waits for the instances of a removed credential to stop.
const REMOVAL_WAIT: Duration = Duration::from_secs(10);

pub(crate) fn router() -> Router<Control> {
    Router::new()
        .route("/v1/tokens", get(tokens).post(make_token))
        .route("/v1/tokens/{id}", delete(revoke))
        .route("/v1/catalog", get(catalog))
        .route("/v1/installations", get(installations).post(install))
        .route("/v1/uninstall", post(uninstall))
}

impl Control {
    fn installer(&self) -> &Installer {
        self.built.installer()
    }
}

async fn tokens(State(control): State<Control>, Extension(actor): Extension<Actor>) -> Answer {
    admin(&actor)?;
    let tokens = control.built.tokens().list().into_iter();
    ok(&Tokens {
        tokens: tokens.map(TokenText::from).collect(),
    })
}

async fn make_token(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Answer {
    admin(&actor)?;
    let request: TokenRequest = read(&body)?;
    let gateway = request.gateway.as_deref().map(GatewayId::new).transpose();
    let gateway = gateway.map_err(|error| invalid(&error))?;
    if let Some(gateway) = &gateway
        && !control.built.router().gateways().contains(gateway)
    {
        let known = control.built.router().gateways();
        let known: Vec<&str> = known.iter().map(GatewayId::as_str).collect();
        let text = format!(
            "unknown gateway {gateway}; configured are {}",
            known.join(", ")
        );
        return Err(invalid(&text).into());
    }
    let expires_at = match request.expires_in {
        None => None,
        Some(seconds) if (1..=MAX_TOKEN_LIFETIME).contains(&seconds) => {
            Some(SystemTime::now() + Duration::from_secs(seconds))
        }
        Some(_) => {
            return Err(invalid(
                &"the lifetime of a token must be between one second and ten years",
            )
            .into());
        }
    };
    let subject: Owner = request.subject.parse().map_err(|error| invalid(&error))?;
    if let Owner::User(user) = &subject
        && !Principal::user(user.clone(), "token").is_well_named()
    {
        let text = format!("{user} is a reserved name, not a user");
        return Err(invalid(&text).into());
    }
    let new = NewToken {
        subject: subject.clone(),
        admin: request.admin,
        gateway: gateway.clone(),
        expires_at,
    };
    let recording = control.recording(&actor, Action::CreateToken, &subject.to_string());
    let made = control.built.tokens().create(new).await;
    recording.end(&made);
    let (token, info) = made?;
    tracing::info!(token = %info.id, subject = %info.subject, by = %actor.principal.id, "token made");
    ok(&TokenMade {
        token: SecretText(token),
        info: info.into(),
        warnings: control.warnings_of_token(&subject, gateway.as_ref()),
    })
}

async fn revoke(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Answer {
    admin(&actor)?;
    let recording = control.recording(&actor, Action::RevokeToken, &id);
    let revoked = control.built.tokens().revoke(&id).await;
    recording.end(&revoked);
    let info = revoked?;
    tracing::info!(token = %info.id, subject = %info.subject, by = %actor.principal.id, "token revoked");
    ok(&TokenText::from(info))
}

async fn catalog(State(control): State<Control>, Extension(actor): Extension<Actor>) -> Answer {
    let servers = control.installer().catalog(&actor).into_iter();
    ok(&Catalog {
        servers: servers.map(Into::into).collect(),
    })
}

async fn installations(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
) -> Answer {
    let installations = control.installer().installations(&actor).await?;
    ok(&Installations {
        installations: installations.into_iter().map(Into::into).collect(),
    })
}

async fn install(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Answer {
    let request: InstallRequest = read(&body)?;
    let mut values = std::collections::BTreeMap::new();
    for (slot, SecretText(value)) in request.values {
        let slot = SlotName::new(&slot).map_err(|error| invalid(&error))?;
        values.insert(slot, value);
    }
    let new = NewInstallation {
        key: InstallationKey {
            server: id(&request.server)?,
            owner: actor.owner(&request.owner)?,
        },
        values,
        expires_at: None,
        rotate: request.rotate,
        check: !request.unchecked,
    };
    let owner = new.key.owner.clone();
    let installed = control.installer().install(&actor, new).await?;
    ok(&InstallationText {
        warnings: control.warnings_of_owner(&owner),
        ..InstallationText::from(installed)
    })
}

async fn uninstall(
    State(control): State<Control>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Answer {
    let request: UninstallRequest = read(&body)?;
    let key = InstallationKey {
        server: id(&request.server)?,
        owner: actor.owner(&request.owner)?,
    };
    control.installer().uninstall(&actor, &key).await?;
    let removed = control
        .built
        .orchestrator()
        .removed(&key.server, &key.owner, REMOVAL_WAIT);
    ok(&Uninstalled::from(removed.await))
}
