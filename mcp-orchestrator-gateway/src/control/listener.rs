//! The control endpoint on the gateway's own listener: the same requests as on the socket, below `/control`, for
//! callers with a token, within that token's rights.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use mcp_orchestrator_core::auth::{Authenticated, Authenticator, LocalAuthenticator, PublicUrl};
use mcp_orchestrator_core::installer::Actor;
use mcp_orchestrator_core::{Error, ErrorKind, Result};

use super::Control;
use super::handlers::answer::{Failed, NDJSON};
use super::handlers::{MAX_BODY_LEN, routes};
use crate::mcp::admission::Admission;
use crate::mcp::bodies;
use crate::options::Options;
use crate::request::head::Head;
use crate::request::validate;

/// The path of the control endpoint, below the public address.
pub(super) const PATH: &str = "/control";

#[derive(Clone, Debug)]
struct ListenerState {
    authenticator: Arc<dyn Authenticator>,
    admission: Admission,
    options: Arc<Options>,
}

/// The routes, at the root and below the public address's path.
pub(crate) fn web_router(
    control: Control,
    authenticator: Arc<dyn Authenticator>,
    (options, admission): (Options, Admission),
) -> Router {
    let own = options.public_url.as_ref().map(PublicUrl::prefix);
    let own = own.filter(|own| !own.is_empty()).map(str::to_owned);
    let state = ListenerState {
        authenticator,
        admission,
        options: Arc::new(options),
    };
    let inner = routes()
        .layer(from_fn_with_state(state, enter))
        .with_state(control);
    let mut router = Router::new().nest(PATH, inner.clone());
    if let Some(own) = own {
        router = router.nest(&format!("{own}{PATH}"), inner);
    }
    router
}

/// Admits callers that authenticate with a token.
async fn enter(State(state): State<ListenerState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let actor = match state.actor(&parts).await {
        Ok(actor) => actor,
        Err(error) => return refused(error),
    };
    let (asked, admin) = (parts.clone(), actor.admin);
    let principal = Arc::clone(&actor.principal);
    let mut reservation = state.admission.bodies.reservation(&principal);
    let body = match bodies::read(&parts, body, MAX_BODY_LEN, Some(&mut reservation)).await {
        Ok(body) => body,
        Err(error) => return refused(error),
    };
    let mut request = Request::from_parts(parts, Body::from(body));
    request.extensions_mut().insert(actor);
    let mut response = next.run(request).await;
    if is_stream(&response) {
        // A followed log or a call ends when its caller loses the right to it.
        let opener = Arc::clone(&principal);
        let by = (&asked, &principal);
        response = state.admission.guard(response, by, move |found| {
            let who = admitted(found)?;
            if who.principal.id != opener.id || (admin && !who.admin) {
                return Err(nobody());
            }
            Ok(who)
        });
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused(error: Error) -> Response {
    let mut response = Failed::from(error).into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        let headers = response.headers_mut();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl ListenerState {
    async fn actor(&self, parts: &http::request::Parts) -> Result<Actor> {
        validate::origin(&Head::of(parts), &self.options)?;
        let who = admitted(self.authenticator.authenticate(parts).await?)?;
        Ok(Actor {
            principal: who.principal,
            admin: who.admin,
        })
    }
}

fn nobody() -> Error {
    let text = "the control endpoint wants a token: `token create` makes one";
    Error::new(ErrorKind::Unauthenticated, text)
}

fn is_stream(response: &Response) -> bool {
    let content = response.headers().get(CONTENT_TYPE);
    content.is_some_and(|value| value == NDJSON)
}

/// Returns the caller if its token is valid for the control endpoint.
fn admitted(found: Option<Authenticated>) -> Result<Authenticated> {
    let who = found.ok_or_else(nobody)?;
    // Any program on this machine can open a loopback port, but only the owner can open the socket.
    if who.principal.method == LocalAuthenticator::METHOD {
        return Err(nobody());
    }
    if !who.principal.is_well_named() {
        let text = format!("{} is a reserved name", who.principal.id);
        return Err(Error::new(ErrorKind::Unauthenticated, text));
    }
    if let Some(gateway) = &who.gateway {
        let text =
            format!("this token is for calls through gateway {gateway}, and for nothing else");
        return Err(Error::new(ErrorKind::Forbidden, text));
    }
    Ok(who)
}
