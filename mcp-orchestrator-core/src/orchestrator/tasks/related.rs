//! The task that a message of a client is related to, named in its metadata: it must be a task that the client may name
//! to the instance that receives the message.

use super::messages::Ids;
use super::seal::SealScope;
use super::unknown;
use crate::error::Result;
use crate::id::PrincipalId;
use crate::jsonrpc::{Members, Message, Splice, quote, span_of, text};
use crate::orchestrator::state::Inner;
use crate::protocol::meta::RELATED_TASK;
use crate::runtime::InstanceKey;
use crate::session::Session;

impl Inner {
    /// Returns these edits of a request, and one that gives the instance its own id of the related task.
    ///
    /// # Errors
    /// If it is not a task of this caller at the instance, as for the task of a request on tasks.
    pub(crate) fn with_related(
        &self,
        seal_scope: &SealScope,
        message: &Message,
        edits: &Splice,
    ) -> Result<Splice> {
        let mut edits = edits.clone();
        let meta = message.meta().and_then(Members::read).unwrap_or_default();
        let Some(related) = meta.get(RELATED_TASK) else {
            return Ok(edits);
        };
        let (principal, key) = (&seal_scope.principal, &seal_scope.handle.key);
        let own = self.own_related(principal, seal_scope.session.as_deref(), key, related);
        let own = own.ok_or_else(unknown)?;
        edits.replace(span_of(message.bytes(), related), own);
        Ok(edits)
    }

    /// Returns a client's notification or answer to this instance with the instance's own id of the related task. An id
    /// that the client may not name to the instance is removed with its metadata.
    pub(crate) fn unseal_related(
        &self,
        principal: &PrincipalId,
        session: Option<&Session>,
        key: &InstanceKey,
        message: Message,
    ) -> Message {
        let Some(body) = message.body() else {
            return message;
        };
        let body = Members::read(body).unwrap_or_default();
        let is_meta = |name: &str| name == "_meta";
        let mut splice = Splice::new();
        if body.0.iter().filter(|(name, _)| is_meta(name)).count() > 1 {
            // Readers disagree about which one counts.
            splice.remove_members(message.bytes(), &body, is_meta);
            return message.spliced(&splice);
        }
        let Some(meta) = body.get("_meta").and_then(Members::read) else {
            return message;
        };
        let related = meta.0.iter().filter(|(name, _)| name == RELATED_TASK);
        let own = match related.map(|(_, value)| value.get()).collect::<Vec<_>>()[..] {
            [] => return message,
            [one] => self
                .own_related(principal, session, key, one)
                .map(|own| (one, own)),
            _ => None,
        };
        match own {
            Some((raw, own)) => {
                splice.replace(span_of(message.bytes(), raw), own);
            }
            None => {
                splice.remove_members(message.bytes(), &meta, |name| name == RELATED_TASK);
            }
        }
        message.spliced(&splice)
    }

    /// Returns the metadata for the instance, or `None` if the client may not name this task to it. A client names tasks
    /// of its own, and those that it made for the instance.
    fn own_related(
        &self,
        principal: &PrincipalId,
        session: Option<&Session>,
        key: &InstanceKey,
        related: &str,
    ) -> Option<String> {
        let members = Members::read(related)?;
        let given = members.get("taskId").and_then(text)?;
        let made = session.is_some_and(|session| session.made_task(key, &given));
        let own = if made {
            given.into_owned()
        } else {
            let sealed = self.unsealed(principal, &given)?;
            (sealed.n == key.name()).then_some(sealed.t)?
        };
        // Written anew: another member could be read as the id.
        Some(format!("{{\"taskId\":{}}}", quote(&own)))
    }

    /// Returns `true` if a notification of this instance within a call of this caller names nothing of another caller:
    /// no task that is not its own, and no elicitation that it was not asked for.
    pub(crate) fn is_for(&self, seal_scope: &SealScope, notification: &Message) -> bool {
        use crate::protocol::method;

        let key = &seal_scope.handle.key;
        match notification.method() {
            method::ELICITATION_COMPLETE => seal_scope
                .session
                .as_ref()
                .is_some_and(|session| session.awaits_elicitation(key, notification)),
            method::TASK_STATUS | method::TASKS_NOTIFICATION => {
                let ids = Ids::read(notification.body().unwrap_or("{}"));
                let id = ids.top.or(ids.task).or(ids.related).and_then(text);
                let known = id.and_then(|id| self.tasks.get(&seal_scope.place(&id)));
                known.is_some_and(|known| known.is_of(&seal_scope.principal))
            }
            _ => true,
        }
    }
}
