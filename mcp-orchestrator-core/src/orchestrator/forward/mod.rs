//! Sends a routed request: resolves the credential and the instance, and retries once if the credential was rejected.

mod deadline;
mod header_params;
mod held_stream;
mod start;
pub(super) mod start_progress;
pub(super) mod trace;
pub(super) mod unauthorized;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::HeaderMap;
use tokio::time::Instant;
use tracing::Instrument as _;

pub(super) use self::deadline::timed_out;
use self::deadline::until;
use self::held_stream::HeldStream;
use self::trace::{credential_span, record_outcome};
use self::unauthorized::unauthorized;
use super::authority::{AllowedBy, SendCheck};
use super::state::Inner;
use super::state::concurrency::counted;
use super::state::context::{Context, STREAM_AFTER};
use super::tasks::SealScope;
use crate::call::Reply;
use crate::credential::{Credential, CredentialRequest, CredentialRule};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Message, Splice};
use crate::pool::{Handle, Lease, Link, Server, Spec};
use crate::router::Route;
use crate::runtime::Progress;
use crate::server::Launch;
use crate::transport::{Outgoing, Recheck as _};

/// Time to wait for the exit of a program after the end of its connection.
const END_WAIT: Duration = Duration::from_secs(2);

/// A request to send to a server.
pub(super) struct ForwardedRequest<'a> {
    pub(super) message: &'a Message,
    pub(super) edits: Splice,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) headers: Cow<'a, HeaderMap>,
    /// Why it may be sent.
    pub(super) judged: AllowedBy<'a>,
    /// The route of a tool call: the server may require some of its arguments in headers.
    pub(super) tool: Option<&'a Route<'a>>,
}

impl<'a> ForwardedRequest<'a> {
    /// A message that is sent without changes.
    pub(super) fn plain(message: &'a Message) -> Self {
        Self {
            message,
            edits: Splice::new(),
            name: None,
            headers: Cow::Owned(HeaderMap::new()),
            judged: AllowedBy::Instance,
            tool: None,
        }
    }
}

impl Inner {
    /// Returns the spec of a configured server.
    pub(super) fn spec(&self, server: &ServerId) -> Result<Arc<Spec>> {
        Ok(self.configured(server)?.spec.load_full())
    }

    fn configured(&self, server: &ServerId) -> Result<Arc<Server>> {
        self.pool.server(server).ok_or_else(|| {
            Error::new(
                ErrorKind::NoRoute,
                format!("server {server} is not configured"),
            )
            .with_server(server)
        })
    }

    /// Resolves the credential with which this caller uses a server.
    pub(super) async fn credential(
        &self,
        context: &Context,
        spec: &Spec,
        rule: &CredentialRule,
        rejected: Option<&Credential>,
    ) -> Result<Arc<Credential>> {
        let server = &spec.server;
        if server.slots.is_empty() {
            return Ok(Arc::clone(&self.no_credential));
        }
        let request = CredentialRequest {
            principal: &context.principal,
            server,
            rule,
            rejected: rejected.map(|credential| (&credential.revision, credential.generation)),
            token: context.token.as_ref(),
        };
        // Most remote servers have an optional slot, for the token that they may demand, and nothing to fill it.
        if self.resolver.covers(&request) {
            let found = self.resolver.resolve(request).await;
            if let Some(credential) = found.map_err(|error| error.with_server(&server.id))? {
                return Ok(credential);
            }
        }
        if server.slots.iter().all(|slot| !slot.required) {
            return Ok(Arc::clone(&self.no_credential));
        }
        let text = format!(
            "server {} needs a credential, and none is installed",
            server.id
        );
        Err(Error::new(ErrorKind::CredentialMissing, text).with_server(&server.id))
    }

    /// Returns the error for a caller of a server with failed lists, if it requires a token although its entry does not
    /// say so.
    pub(super) async fn demanded(
        &self,
        context: &Context,
        spec: &Spec,
        rule: &CredentialRule,
    ) -> Option<Error> {
        let failure = self.why_not_listed(&spec.server.id)?;
        if !may_want(spec) || failure.kind() != ErrorKind::CredentialRejected {
            return None;
        }
        let refused = Some(&*self.no_credential);
        let found = self.credential(context, spec, rule, refused).await;
        found.err().filter(|error| wants(spec, error))
    }

    /// Sends a request to the caller's instance of a server.
    pub(super) async fn forward(
        self: &Arc<Self>,
        context: &Context,
        server: &ServerId,
        rule: &CredentialRule,
        work: &ForwardedRequest<'_>,
    ) -> Result<(Reply, Arc<Handle>)> {
        let configured = self.configured(server)?;
        let spec = configured.spec.load_full();
        context.series.get_or_init(|| {
            let gateway = (!context.is_operator).then_some(&context.gateway);
            configured.series.of(server, gateway)
        });
        let counts = self.in_flight.enter(&context.principal.id, server)?;
        let limit = spec.server.limits.call_timeout;
        let deadline = context.begun.unwrap_or_else(Instant::now) + limit;
        // Pinned here, because a wrapper that takes the future by value moves it, and it is large.
        let sent = std::pin::pin!(async {
            let span = credential_span(&spec.server);
            let credential = self.credential(context, &spec, rule, None).await;
            drop(span);
            let credential = credential.inspect_err(|_| context.goes_to(&spec, None))?;
            context.goes_to(&spec, Some(&credential));
            match self
                .once(
                    context,
                    (&configured, &spec),
                    (rule, &credential),
                    work,
                    deadline,
                )
                .await
            {
                Err(refused) if refused.kind() == ErrorKind::CredentialRejected => {
                    // Nothing was returned yet, so a retry with another generation or another credential is safe.
                    let other = self
                        .credential(context, &spec, rule, Some(&credential))
                        .await;
                    let other = match other {
                        Ok(other) => other,
                        // Only the owner can resolve this; the error says how.
                        Err(over) if over.kind() == ErrorKind::CredentialExpired => {
                            return Err(over);
                        }
                        // The call had no credential, and the server requires one.
                        Err(missing) if wants(&spec, &missing) => return Err(missing),
                        Err(_) => return Err(unauthorized(&spec, refused)),
                    };
                    if (&other.revision, other.generation)
                        == (&credential.revision, credential.generation)
                    {
                        return Err(unauthorized(&spec, refused));
                    }
                    let to = (&*configured, &spec);
                    Box::pin(self.once(context, to, (rule, &other), work, deadline)).await
                }
                Err(few) if few.kind() == ErrorKind::CredentialInsufficient => {
                    Err(Box::pin(self.wanted(&spec, &credential, few)).await)
                }
                answer => answer,
            }
        });
        let repolled_at = context.begun.map(|begun| begun + STREAM_AFTER);
        let repolled_at = repolled_at.filter(|at| *at < deadline);
        match until(deadline, repolled_at, sent).await {
            Some(Ok((reply, handle))) => Ok((counted(reply, counts), handle)),
            Some(Err(error)) => Err(error.with_server(server)),
            None => Err(timed_out(server, limit)),
        }
    }

    /// Records the additional scopes that the server requires, for the owner's next sign-in. If they were requested
    /// before, another sign-in cannot help, and the error does not ask for one.
    async fn wanted(&self, spec: &Spec, credential: &Credential, error: Error) -> Error {
        let (server, scopes) = (&spec.server, error.wanted_scopes());
        match self.resolver.wanted(server, credential, scopes).await {
            Ok(Some(false)) => {
                let text = format!(
                    "server {} does not allow this, also not with the scopes that it asks for ({})",
                    server.id,
                    scopes.join(" ")
                );
                Error::new(ErrorKind::Unavailable, text)
            }
            Ok(_) => error,
            Err(failed) => {
                tracing::warn!(server = %server.id, error = %failed, "what a server wants cannot be noted");
                error
            }
        }
    }

    async fn once(
        self: &Arc<Self>,
        context: &Context,
        (configured, spec): (&Server, &Arc<Spec>),
        (rule, credential): (&CredentialRule, &Arc<Credential>),
        work: &ForwardedRequest<'_>,
        deadline: Instant,
    ) -> Result<(Reply, Arc<Handle>)> {
        let headers = match work.tool {
            Some(route) if self.may_require_headers(route) => {
                Box::pin(self.header_params(context, credential, route, work)).await?
            }
            _ => None,
        };
        let scope = context.scope(&spec.server);
        let mut now = None;
        let lease = match configured.running(credential, &scope) {
            Some(lease) => lease,
            None => {
                let span = tracing::debug_span!("start", server.id = %spec.server.id);
                let starting = self.started(context, spec, rule, credential);
                let (lease, other) = Box::pin(starting.instrument(span)).await?;
                now = other;
                // The start took time, and not every router reports changes.
                Box::pin(self.judge_again(context, &lease.key, work.judged)).await?;
                lease
            }
        };
        let credential = now.as_ref().unwrap_or(credential);
        let lease = if lease.is_behind(credential) {
            let progress = context.progress.clone();
            let progress = progress.unwrap_or_else(Progress::unheard);
            Box::pin(self.pool.renewed(lease, credential, &progress)).await?
        } else {
            lease
        };
        let headers = headers.as_deref().unwrap_or(&work.headers);
        self.send_with(context, lease, (work, headers), deadline)
            .await
    }

    /// Authorizes a request again if rights have changed since its start. Completes the handshake first, because it
    /// takes time as well.
    async fn before_sent(
        &self,
        context: &Context,
        lease: &Lease,
        check: &SendCheck<'_>,
    ) -> Result<()> {
        if !lease.link.is_ready(&context.caller)
            && let Err(error) = lease.link.spoken(&context.caller).await
        {
            return Err(why(lease, error).await);
        }
        crate::transport::allowed(Some(check)).await
    }

    /// Sends a request to this instance.
    pub(super) async fn send(
        &self,
        context: &Context,
        lease: Lease,
        work: &ForwardedRequest<'_>,
        deadline: Instant,
    ) -> Result<(Reply, Arc<Handle>)> {
        let work = (work, &*work.headers);
        self.send_with(context, lease, work, deadline).await
    }

    async fn send_with(
        &self,
        context: &Context,
        lease: Lease,
        (work, headers): (&ForwardedRequest<'_>, &HeaderMap),
        deadline: Instant,
    ) -> Result<(Reply, Arc<Handle>)> {
        let as_of = context.as_of.unwrap_or_else(|| self.rights.now());
        let check = SendCheck::new(self, context, &lease.key, work.judged, as_of);
        let mut opened = lease.link.opened(&context.caller);
        if check.is_stale() || opened.is_none() && !lease.link.is_ready(&context.caller) {
            Box::pin(self.before_sent(context, &lease, &check)).await?;
            opened = None;
        }
        if let Some(session) = &context.session
            && session.uses(lease.handle())
        {
            Box::pin(self.joined(context, session, &lease, as_of)).await;
            opened = None;
        }
        lease.serves();
        if let Some(trail) = &context.trail {
            trail.reached(&lease.key);
        }
        let mut bound = None;
        if work.message.names_related_task() {
            let seal_scope = SealScope::of(context, lease.handle());
            bound = Some(self.with_related(&seal_scope, work.message, &work.edits)?);
        }
        let trace = self.trace_upstream(work.message, work.name.as_deref(), &lease);
        let outgoing = Outgoing {
            message: work.message,
            edits: bound.as_ref().unwrap_or(&work.edits),
            name: work.name.as_deref(),
            headers,
            trace: trace.as_ref().map(|trace| &trace.context),
            party: context.caller.party,
            era: context.era(),
            client: context.caller.client.as_ref().map(|(facts, _)| &**facts),
            check: Some(&check),
        };
        let reply = lease.link.request(&outgoing, &context.caller, opened);
        let reply = reply.await;
        if let Some(trace) = trace {
            record_outcome(&trace.span, &reply);
        }
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => return Err(Box::pin(why(&lease, error)).await),
        };
        let handle = Arc::clone(lease.handle());
        Ok(match reply.into_ready() {
            Ok(response) => (Reply::ready(response), handle),
            Err(stream) => (
                Reply::stream(HeldStream::new(stream, lease, deadline, self.input_wait).boxed()),
                handle,
            ),
        })
    }
}

/// Explains an error with the exit of its instance. The exit of a program that is reached over HTTP may not be known
/// yet.
async fn why(lease: &Lease, error: Error) -> Error {
    if error.kind() != ErrorKind::Unavailable || error.data().is_some() {
        return error;
    }
    let server = &lease.spec.server;
    if matches!(
        (&lease.link, &server.launch),
        (Link::Http(_), Launch::Program(_))
    ) {
        // Without an exit within this time, the program is still running.
        let _ = tokio::time::timeout(END_WAIT, lease.exited.clone()).await;
    }
    let exit = lease.exit.get().or_else(|| lease.exited.peek());
    let Some(exit) = exit else { return error };
    let text = format!("server {} ended: {}", server.id, exit.reason);
    Error::new(ErrorKind::Unavailable, text)
        .with_instance(&lease.key)
        .with_source(error)
}

/// Returns `true` if the error says that the server requires a token that its entry does not mention.
fn wants(spec: &Spec, error: &Error) -> bool {
    may_want(spec) && error.kind() == ErrorKind::CredentialMissing
}

/// Returns `true` if the entry leaves open whether the server requires a token.
fn may_want(spec: &Spec) -> bool {
    let oauth = spec.server.oauth.as_ref();
    oauth.is_some_and(|oauth| oauth.refusals().is_some())
}
