//! Request bodies. Each is read whole, within its own limit and within the memory limits per principal and overall.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::BodyExt as _;
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::limits::{MAX_BODY_MEMORY, MAX_BODY_MEMORY_PER_PRINCIPAL, UNCOUNTED_BODY_LEN};
use crate::request::connection::is_too_slow;

/// When a refused body may be sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The memory that large bodies take. Clones share one account.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyMemory(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_principal: HashMap<Arc<str>, usize>,
}

/// The memory that one body takes, released on drop.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    memory: &'a BodyMemory,
    principal: &'a Principal,
    taken: usize,
}

impl BodyMemory {
    /// Creates an empty reservation for a body of this principal.
    pub(crate) fn room<'a>(&'a self, principal: &'a Principal) -> Room<'a> {
        Room {
            memory: self,
            principal,
            taken: 0,
        }
    }
}

impl Room<'_> {
    /// Raises the reservation to `len` bytes. A body larger than a limit is accepted if no other counts towards it.
    fn take(&mut self, len: usize) -> Result<()> {
        if len <= UNCOUNTED_BODY_LEN || len <= self.taken {
            return Ok(());
        }
        let more = len - self.taken;
        let mut taken = self.memory.0.lock();
        let key = self.principal.id.as_str();
        let own = taken.by_principal.get(key).copied().unwrap_or_default();
        let is_only = own == self.taken;
        if own + more > MAX_BODY_MEMORY_PER_PRINCIPAL && !is_only {
            return Err(full("the large requests that you send at once"));
        }
        if taken.all + more > MAX_BODY_MEMORY && taken.all > self.taken {
            return Err(full("the large requests of all callers"));
        }
        taken.all += more;
        match taken.by_principal.get_mut(key) {
            Some(own) => *own += more,
            None => drop(taken.by_principal.insert(key.into(), more)),
        }
        self.taken = len;
        Ok(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.taken == 0 {
            return;
        }
        let mut taken = self.memory.0.lock();
        taken.all = taken.all.saturating_sub(self.taken);
        let key = self.principal.id.as_str();
        if let Some(own) = taken.by_principal.get_mut(key) {
            *own = own.saturating_sub(self.taken);
            if *own == 0 {
                taken.by_principal.remove(key);
            }
        }
    }
}

fn full(what: &str) -> Error {
    let text = format!("{what} take all the memory that they may; send this one again later");
    Error::new(ErrorKind::Overloaded, text).with_retry_after(RETRY_AFTER)
}

/// Reads the whole body, within `limit`. If `room` is given, a body of more than [`UNCOUNTED_BODY_LEN`] is reserved in
/// it.
///
/// # Errors
/// [`TooLarge`](ErrorKind::TooLarge), [`Overloaded`](ErrorKind::Overloaded) if the memory limit is reached, or the
/// reason why the body did not arrive.
pub(crate) async fn read<B>(
    parts: &Parts,
    mut body: B,
    limit: usize,
    mut room: Option<&mut Room<'_>>,
) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Unpin,
{
    let too_large = || {
        let text = format!("the body is larger than {limit} bytes");
        Error::new(ErrorKind::TooLarge, text)
    };
    let length = parts.headers.get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut whole: Option<BytesMut> = None;
    let mut first = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken_off(&*error.into()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.is_empty() && whole.is_none() {
            first = data;
        } else {
            let so_far = whole.as_ref().map_or(first.len(), BytesMut::len) + data.len();
            if so_far > limit {
                return Err(too_large());
            }
            if let Some(room) = &mut room {
                room.take(length.unwrap_or(so_far).max(so_far))?;
            }
            let whole = whole.get_or_insert_with(|| {
                let mut whole = BytesMut::with_capacity(length.unwrap_or(so_far).min(limit));
                whole.extend_from_slice(&first);
                whole
            });
            whole.extend_from_slice(&data);
        }
        if first.len() > limit {
            return Err(too_large());
        }
    }
    Ok(whole.map_or(first, BytesMut::freeze))
}

fn broken_off(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    if is_too_slow(error) {
        return Error::new(ErrorKind::SlowRequest, "the request body came too slowly");
    }
    Error::new(ErrorKind::InvalidRequest, "the body broke off")
}

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::id::PrincipalId;

    use super::*;

    fn user(name: &str) -> Principal {
        Principal::clone(&Principal::user(PrincipalId::new(name).unwrap(), "test"))
    }

    #[test]
    fn large_bodies_are_limited_per_sender_and_in_total() {
        let memory = BodyMemory::default();
        let users: Vec<_> = (0..9).map(|n| user(&format!("u{n}"))).collect();
        let ann = &users[0];
        let half = MAX_BODY_MEMORY_PER_PRINCIPAL / 2;
        let (mut one, mut two) = (memory.room(ann), memory.room(ann));
        one.take(half).unwrap();
        two.take(half).unwrap();
        let mut three = memory.room(ann);
        let refused = three.take(UNCOUNTED_BODY_LEN + 1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        assert!(refused.retry_after().is_some());
        three.take(UNCOUNTED_BODY_LEN).unwrap();
        drop(one);
        three.take(half).unwrap();
        drop((two, three));
        assert_eq!(memory.0.lock().all, 0);
        assert!(memory.0.lock().by_principal.is_empty());

        let fits = MAX_BODY_MEMORY / MAX_BODY_MEMORY_PER_PRINCIPAL;
        let mut rooms: Vec<_> = users.iter().map(|user| memory.room(user)).collect();
        for room in &mut rooms[..fits] {
            room.take(MAX_BODY_MEMORY_PER_PRINCIPAL).unwrap();
        }
        assert!(
            rooms[fits]
                .take(half)
                .unwrap_err()
                .to_string()
                .contains("all callers")
        );
    }

    #[test]
    fn body_larger_than_the_budget_is_accepted_one_at_a_time() {
        let memory = BodyMemory::default();
        let ann = user("ann");
        let (mut one, mut two) = (memory.room(&ann), memory.room(&ann));
        one.take(2 * MAX_BODY_MEMORY).unwrap();
        assert!(two.take(UNCOUNTED_BODY_LEN + 1).is_err());
        drop(one);
        two.take(2 * MAX_BODY_MEMORY).unwrap();
    }
}
