//! Whether an owner may have one more instance.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Pool;
use super::slot::Slot;
use crate::credential::Owner;
use crate::error::{Error, ErrorKind, Result};

/// When one who was refused may come again: an instance comes to rest in its own time.
const AGAIN: Duration = Duration::from_secs(10);

/// The limit, and the door through which starts go one by one where there is one.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Zero is no limit.
    most: AtomicUsize,
    door: Mutex<()>,
}

impl Pool {
    /// From now on at most so many instances start for an owner; those that run go on.
    pub(crate) fn limit_instances(&self, most: Option<NonZeroUsize>) {
        let most = most.map_or(0, NonZeroUsize::get);
        self.room.most.store(most, Ordering::Relaxed);
    }

    /// The door, where this slot may have an instance. It is held until the slot says that it starts, so that two starts
    /// never take the last place both. What the organization owns is everybody's, and is not counted.
    pub(super) fn room_for(&self, slot: &Slot) -> Result<Option<MutexGuard<'_, ()>>> {
        let most = self.room.most.load(Ordering::Relaxed);
        if most == 0 {
            return Ok(None);
        }
        if slot.owner == Owner::Organization {
            return Ok(None);
        }
        let door = self
            .room
            .door
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let servers = self.servers.load();
        let taken = servers
            .values()
            .flat_map(|server| server.slots.all())
            .filter(|other| other.owner == slot.owner && !std::ptr::eq(&**other, slot))
            .filter(|other| other.is_taken())
            .count();
        if taken < most || slot.is_taken() {
            return Ok(Some(door));
        }
        let text = format!(
            "{} has {taken} instances running, the most that are allowed; the next may start when one of them rests",
            slot.owner
        );
        Err(Error::new(ErrorKind::Overloaded, text).with_retry_after(AGAIN))
    }
}
