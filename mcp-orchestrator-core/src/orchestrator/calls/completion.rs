//! `completion/complete`: forwarded to the server of the prompt or resource.

use std::sync::Arc;

use crate::call::Reply;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Members, Message, Splice, quote, span_of, text};
use crate::orchestrator::authority::AllowedBy;
use crate::orchestrator::forward::ForwardedRequest;
use crate::orchestrator::params::{missing, params};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::router::Item;

impl Inner {
    pub(crate) async fn complete(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
    ) -> Result<Reply> {
        let head = params(message)?;
        let reference = head.reference.ok_or_else(|| missing("ref"))?.get();
        let members = Members::read(reference).ok_or_else(|| missing("ref"))?;
        let reference = Reference::of(&members)?;
        let (raw, name) = match reference {
            Reference::Prompt(raw) => (raw, text(raw).ok_or_else(|| missing("ref.name"))?),
            Reference::Resource(raw) => (raw, text(raw).ok_or_else(|| missing("ref.uri"))?),
        };
        let item = match reference {
            Reference::Prompt(_) => Item::Prompt(&name),
            Reference::Resource(_) => Item::Resource(&name),
        };
        let route = self.routed(context, item).await?;
        let mut edits = Splice::new();
        if route.name != name {
            edits.replace(span_of(message.bytes(), raw), quote(&route.name));
        }
        let work = ForwardedRequest {
            edits,
            judged: AllowedBy::Item(item),
            ..ForwardedRequest::plain(message)
        };
        match self
            .forward(context, &route.server, &route.credential, &work)
            .await
        {
            Ok((reply, _)) => Ok(reply),
            Err(error) => Err(self
                .with_auth_data(context, &route.server, &route.credential, error)
                .await),
        }
    }
}

/// The completion's target: the name of a prompt or the URI of a resource, as JSON.
#[derive(Clone, Copy)]
enum Reference<'a> {
    Prompt(&'a str),
    Resource(&'a str),
}

impl<'a> Reference<'a> {
    /// Parses a reference. A server may rely on the type or on the members, so both must agree.
    fn of(members: &Members<'a>) -> Result<Self> {
        let kind = members.get("type").map(text);
        let kind = kind
            .as_ref()
            .map(|kind| kind.as_deref().unwrap_or_default());
        match (kind, members.get("name"), members.get("uri")) {
            (Some("ref/prompt") | None, Some(name), None) => Ok(Self::Prompt(name)),
            (Some("ref/resource") | None, None, Some(uri)) => Ok(Self::Resource(uri)),
            (Some("ref/prompt"), None, None) => Err(missing("ref.name")),
            (Some("ref/resource"), None, None) => Err(missing("ref.uri")),
            _ => {
                let text =
                    "params.ref must be a ref/prompt with a name or a ref/resource with a uri";
                Err(Error::new(ErrorKind::InvalidParams, text))
            }
        }
    }
}
