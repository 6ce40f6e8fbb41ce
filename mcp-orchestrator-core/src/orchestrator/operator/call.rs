//! Calls that an operator makes of a server itself, past the names and the choice of any gateway.

use std::sync::{Arc, OnceLock};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::auth::Principal;
use crate::call::Reply;
use crate::catalog::{Source, page};
use crate::credential::CredentialRule;
use crate::error::Result;
use crate::id::{Alias, GatewayId, ServerId};
use crate::jsonrpc::{Message, text};
use crate::metrics::MethodIndex;
use crate::orchestrator::forward::ForwardedRequest;
use crate::orchestrator::forward::start_progress::tell;
use crate::orchestrator::params::expect_request;
use crate::orchestrator::params::{missing, params};
use crate::orchestrator::state::audit_trail::Trail;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::pool::Caller;
use crate::protocol::Era;
use crate::router::{ItemKind, Route, ViewEntry};
use crate::runtime::Progress;
use crate::transport::progress_token;

impl Orchestrator {
    /// Lists what a server offers as it names it: the JSON text of a list. What is not known yet is learned by a start.
    ///
    /// # Errors
    /// [`NoRoute`](crate::ErrorKind::NoRoute) for an unknown server; else why it could not be asked.
    pub async fn server_list(
        &self,
        principal: &Arc<Principal>,
        server: &ServerId,
        kind: ItemKind,
    ) -> Result<String> {
        let inner = &self.inner;
        let context = inner.operator(principal);
        let source = inner.source_of(&context, server, kind).await?;
        let (mut list, mut at) = (String::from("["), 0);
        loop {
            let sources = std::slice::from_ref(&source);
            let (part, next) = page(sources, kind, false, Era::Modern, at);
            let items = part.split_once('[').map_or("", |(_, items)| items);
            list.push_str(items.strip_suffix(']').unwrap_or_default());
            match next {
                Some(next) if next > at => at = next,
                _ => break,
            }
            list.push(',');
        }
        list.push(']');
        Ok(list)
    }

    /// Carries out a modern `tools/call` on a server, with the tool's own name.
    ///
    /// # Errors
    /// [`NoRoute`](crate::ErrorKind::NoRoute) for an unknown server; else as [`call`](Self::call).
    ///
    /// # Cancel safety
    /// Dropping the future or the reply cancels the call upstream.
    pub async fn call_tool(
        &self,
        principal: &Arc<Principal>,
        server: &ServerId,
        message: Message,
    ) -> Result<Reply> {
        expect_request(&message)?;
        let inner = &self.inner;
        let series = match inner.pool.server(server) {
            Some(configured) => configured.series.of(server, None),
            None => inner
                .metrics
                .unrouted(&GatewayId::default_gateway(), || false),
        };
        let started = Instant::now();
        let name = MethodIndex::of(message.method());
        let (progress, words) = Progress::channel();
        let token = progress_token(&message).map(|(_, token)| token);
        let mut context = Context {
            progress: token.is_some().then_some(progress),
            ..inner.operator(principal)
        };
        context.trail = Trail::begin(
            &inner.audit.load(),
            &context.principal.id,
            &context.gateway,
            &message,
        );
        let trail = context.trail.clone();
        let (carrier, server) = (Arc::clone(inner), server.clone());
        let coming = async move { carrier.call_tool(context, &server, message).await }.boxed();
        let reply = match token {
            Some(token) => tell(coming, words, token).await,
            None => coming.await,
        };
        let reply = match trail {
            Some(trail) => trail.follow(reply),
            None => reply,
        };
        let method = (name, Era::Modern);
        inner
            .metrics
            .call(&series, method, started.elapsed(), &reply);
        reply
    }
}

impl Inner {
    pub(crate) fn operator(&self, principal: &Arc<Principal>) -> Context {
        Context {
            principal: Arc::clone(principal),
            gateway: GatewayId::default_gateway(),
            session: None,
            caller: Caller {
                party: self.party_of(&principal.id),
                era: Era::Modern,
                client: None,
            },
            token: None,
            progress: None,
            waited: false,
            is_repeated: false,
            trail: None,
            is_operator: true,
            grant: None,
            as_of: None,
            begun: None,
            series: OnceLock::new(),
        }
    }

    async fn source_of(
        self: &Arc<Self>,
        context: &Context,
        server: &ServerId,
        kind: ItemKind,
    ) -> Result<Source> {
        let spec = self.spec(server)?;
        let rule = rule(spec.server.slots.is_empty());
        self.credential(context, &spec, &rule, None).await?;
        let entry = ViewEntry {
            credential: rule,
            ..ViewEntry::of(&spec.server)
        };
        let Some(kept) = self.lists_of(context, &entry, &[kind]).await else {
            let wants = self.demanded(context, &spec, &entry.credential).await;
            return Err(wants.unwrap_or_else(|| self.list_failure(&spec, kind)));
        };
        Ok(Source::new(&entry, kept))
    }

    async fn call_tool(
        self: &Arc<Self>,
        context: Context,
        server: &ServerId,
        message: Message,
    ) -> Result<Reply> {
        let spec = self.spec(server)?;
        let name = params(&message)?
            .name
            .and_then(|raw| text(raw.get()))
            .ok_or_else(|| missing("name"))?
            .into_owned();
        let route = Route {
            server: server.clone(),
            alias: Alias::from(server),
            name: name.clone().into(),
            credential: rule(spec.server.slots.is_empty()),
            change: None,
        };
        let work = ForwardedRequest {
            name: Some(name.into()),
            tool: Some(&route),
            ..ForwardedRequest::plain(&message)
        };
        let (reply, _) = self
            .forward(&context, server, &route.credential, &work)
            .await?;
        Ok(reply)
    }
}

pub(super) fn rule(without_slots: bool) -> CredentialRule {
    if without_slots {
        CredentialRule::None
    } else {
        CredentialRule::Resolve
    }
}
