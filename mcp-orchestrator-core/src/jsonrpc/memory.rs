//! Memory that the large messages of one sender take, from their first byte until they are delivered.
//!
//! A receiver that reads slowly, or a sender that does not complete its messages, can make the gateway hold many
//! messages of the maximum size. The large ones of each sender are therefore counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::limits::{MAX_MESSAGE_MEMORY, UNCOUNTED_MESSAGE_LEN};

/// The memory that the messages of one sender take.
#[derive(Debug, Default)]
pub(crate) struct MessageMemory(AtomicUsize);

/// The part of it that one message takes, returned on drop.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Arc<MessageMemory>,
    len: usize,
}

/// The messages of this sender take all the memory that they may.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "large messages of this server that were not delivered yet take all the memory that they may; call again later"
)]
pub(crate) struct Full;

impl MessageMemory {
    /// Raises the share of a message to `len` bytes. A short message takes none. A message of any length is accepted if
    /// it is the only one.
    ///
    /// # Errors
    /// [`Full`] if the messages together would take more than [`MAX_MESSAGE_MEMORY`].
    pub(crate) fn grow(
        self: &Arc<Self>,
        share: &mut Option<Share>,
        len: usize,
    ) -> Result<(), Full> {
        let own = share.as_ref().map_or(0, |share| share.len);
        if len <= UNCOUNTED_MESSAGE_LEN || len <= own {
            return Ok(());
        }
        let fits = |taken: usize| {
            let all = taken + (len - own);
            (all <= MAX_MESSAGE_MEMORY || taken == own).then_some(all)
        };
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .map_err(|_| Full)?;
        match share {
            Some(share) => share.len = len,
            None => {
                *share = Some(Share {
                    memory: Arc::clone(self),
                    len,
                });
            }
        }
        Ok(())
    }

    /// Returns the share of a complete message.
    ///
    /// # Errors
    /// As [`grow`](Self::grow).
    pub(crate) fn share(self: &Arc<Self>, len: usize) -> Result<Option<Arc<Share>>, Full> {
        let mut share = None;
        self.grow(&mut share, len)?;
        Ok(share.map(Arc::new))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.len, Ordering::AcqRel);
    }
}

/// Bytes that keep something else that stands for their memory.
struct Held<T> {
    bytes: Bytes,
    _with: T,
}

impl<T> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns bytes that keep this share until the last reference to them is dropped.
pub(super) fn held(bytes: Bytes, share: Option<Arc<Share>>) -> Bytes {
    match share {
        None => bytes,
        Some(share) => keeping(bytes, share),
    }
}

/// Returns bytes that keep `with` until the last reference to them is dropped.
pub(crate) fn keeping(bytes: Bytes, with: impl Send + 'static) -> Bytes {
    Bytes::from_owner(Held { bytes, _with: with })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonrpc::Message;

    fn taken(memory: &MessageMemory) -> usize {
        memory.0.load(Ordering::Acquire)
    }

    #[test]
    fn memory_is_taken_until_the_last_copy_of_a_message_is_gone() {
        let memory = Arc::<MessageMemory>::default();
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#,
            "x".repeat(2 * UNCOUNTED_MESSAGE_LEN)
        );
        let share = memory.share(text.len()).unwrap();
        let message = Message::parse(text.clone().into()).unwrap().holding(share);
        assert_eq!(taken(&memory), text.len());
        let renumbered = message.with_id(b"2");
        drop(message);
        let bytes = renumbered.into_bytes();
        let part = bytes.slice(..10);
        drop(bytes);
        assert_eq!(taken(&memory), text.len());
        drop(part);
        assert_eq!(taken(&memory), 0);
        assert!(memory.share(UNCOUNTED_MESSAGE_LEN).unwrap().is_none());
    }

    #[test]
    fn messages_beyond_the_memory_are_refused_but_never_the_only_one() {
        let memory = Arc::<MessageMemory>::default();
        let mut one = None;
        memory.grow(&mut one, UNCOUNTED_MESSAGE_LEN + 1).unwrap();
        memory.grow(&mut one, 2 * MAX_MESSAGE_MEMORY).unwrap();
        let mut two = None;
        assert!(memory.grow(&mut two, UNCOUNTED_MESSAGE_LEN + 1).is_err());
        memory.grow(&mut two, UNCOUNTED_MESSAGE_LEN).unwrap();
        drop(one);
        memory.grow(&mut two, MAX_MESSAGE_MEMORY).unwrap();
        assert!(memory.share(UNCOUNTED_MESSAGE_LEN + 1).is_err());
        drop(two);
        assert_eq!(taken(&memory), 0);
    }
}
