//! Rights of the callers of the control endpoint.

use axum::Extension;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use mcp_orchestrator_core::installer::Actor;
use mcp_orchestrator_core::{Error, ErrorKind, Result};

use super::answer::Failed;

/// Admits administrators only.
pub(super) async fn only_admins(
    Extension(actor): Extension<Actor>,
    request: Request,
    next: Next,
) -> Response {
    match admin(&actor) {
        Ok(()) => next.run(request).await,
        Err(error) => Failed::from(error).into_response(),
    }
}

/// Fails unless the caller is an administrator.
pub(super) fn admin(actor: &Actor) -> Result<()> {
    if actor.admin {
        return Ok(());
    }
    let text = format!(
        "permission denied: {} is not an admin of this gateway",
        actor.principal.id
    );
    Err(Error::new(ErrorKind::Forbidden, text))
}
