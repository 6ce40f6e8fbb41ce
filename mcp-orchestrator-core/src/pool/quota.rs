//! Limits the number of instances per owner.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::Pool;
use super::slot::Slot;
use crate::credential::Owner;
use crate::error::{Error, ErrorKind, Result};

/// `Retry-After` of a refused start. Instances stop on their own schedule, so this is only an estimate.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The limit, and a lock that serializes starts while there is a limit.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Zero means unlimited.
    most: AtomicUsize,
    door: Mutex<()>,
}

impl Pool {
    /// Sets the maximum number of instances per owner. It applies to new starts; running instances continue.
    pub(crate) fn limit_instances(&self, most: Option<NonZeroUsize>) {
        let most = most.map_or(0, NonZeroUsize::get);
        self.room.most.store(most, Ordering::Relaxed);
    }

    /// Checks the limit for a start in this slot. The returned guard is held until the slot is marked as starting, so
    /// that two starts cannot both take the last place. Instances of the organization are shared by everyone and not
    /// counted.
    pub(crate) fn room_for(&self, slot: &Slot) -> Result<Option<MutexGuard<'_, ()>>> {
        let most = self.room.most.load(Ordering::Relaxed);
        if most == 0 {
            return Ok(None);
        }
        if slot.owner == Owner::Organization {
            return Ok(None);
        }
        let door = self.room.door.lock();
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
        Err(Error::new(ErrorKind::Overloaded, text).with_retry_after(RETRY_AFTER))
    }
}
