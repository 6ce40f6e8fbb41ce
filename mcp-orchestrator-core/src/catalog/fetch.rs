//! Asking a running instance for its lists, page by page.

use super::{Kept, KeptItem};
use crate::call::own;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, ListHead, Members, Message, quote, request};
use crate::pool::{Caller, Lease};
use crate::protocol::{Era, code, method};
use crate::router::ItemKind;
use crate::transport::Outgoing;

/// Pages of one list; a server that has more goes round in circles.
const PAGES: usize = 1000;

/// All lists of an instance, and what it said of itself.
pub(crate) async fn fetch(lease: &Lease) -> Result<Kept> {
    // A server that speaks both eras is asked in the newer one, which needs no session.
    let caller = Caller::engine(Era::Modern);
    let mut kept = Kept::new(lease.link.hello(&caller).await?);
    let able = {
        let hello = kept.hello();
        let capabilities = hello
            .get("capabilities")
            .and_then(Members::read)
            .unwrap_or_default();
        ["tools", "prompts", "resources"].map(|name| capabilities.get(name).is_some())
    };
    for kind in ItemKind::ALL {
        let offered = match kind {
            ItemKind::Tool => able[0],
            ItemKind::Prompt => able[1],
            ItemKind::Resource | ItemKind::Template => able[2],
        };
        if offered {
            *kept.items_mut(kind) = list(lease, &caller, kind).await?;
        }
    }
    Ok(kept)
}

async fn list(lease: &Lease, caller: &Caller, kind: ItemKind) -> Result<Vec<KeptItem>> {
    let mut items: Vec<KeptItem> = Vec::new();
    let mut cursor: Option<String> = None;
    for page in 0..PAGES {
        let params = cursor
            .as_ref()
            .map(|cursor| format!("{{\"cursor\":{}}}", quote(cursor)));
        let message = own(request(
            &page.to_string(),
            method_of(kind),
            params.as_deref(),
        ));
        let response = ask(lease, caller, message).await?;
        if response.kind() == Kind::Error {
            return refused(&response, kind, items);
        }
        let head: ListHead<'_> = response
            .body()
            .and_then(|body| serde_json::from_str(body).ok())
            .unwrap_or_default();
        let raws = match kind {
            ItemKind::Tool => head.tools,
            ItemKind::Prompt => head.prompts,
            ItemKind::Resource => head.resources,
            ItemKind::Template => head.templates,
        };
        for raw in raws.unwrap_or_default() {
            match KeptItem::read(kind, raw.get()) {
                Some(item) => items.push(item),
                None => {
                    tracing::warn!(server = %lease.key.server(), ?kind, "an item is left out: it has no name, or an invalid x-mcp-header");
                }
            }
        }
        let next = head.next_cursor.map(std::borrow::Cow::into_owned);
        if next.is_none() || next == cursor {
            return Ok(items);
        }
        cursor = next;
    }
    Ok(items)
}

fn refused(response: &Message, kind: ItemKind, items: Vec<KeptItem>) -> Result<Vec<KeptItem>> {
    let error = response.body().and_then(Members::read).unwrap_or_default();
    if error
        .get("code")
        .is_some_and(|found| found == code::METHOD_NOT_FOUND.to_string())
    {
        return Ok(items);
    }
    let text = format!(
        "{} was refused: {}",
        method_of(kind),
        error.get("message").unwrap_or("?")
    );
    Err(Error::new(ErrorKind::Protocol, text))
}

/// Sends a request of the engine's own.
pub(crate) async fn ask(lease: &Lease, caller: &Caller, message: Message) -> Result<Message> {
    let outgoing = Outgoing::ours(&message, caller.party);
    let limit = lease.spec.server.limits.call_timeout;
    let answer = async {
        lease
            .link
            .request(&outgoing, caller)
            .await?
            .response()
            .await
    };
    tokio::time::timeout(limit, answer).await.map_err(|_| {
        let text = format!("server {} did not answer a list", lease.key.server());
        Error::new(ErrorKind::TimedOut, text).with_server(lease.key.server())
    })?
}

/// The method that lists items of this kind.
pub(crate) fn method_of(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Tool => method::TOOLS_LIST,
        ItemKind::Prompt => method::PROMPTS_LIST,
        ItemKind::Resource => method::RESOURCES_LIST,
        ItemKind::Template => method::RESOURCES_TEMPLATES_LIST,
    }
}
