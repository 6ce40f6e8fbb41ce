//! The table of known tasks: the principal that owns each task, and how long the task keeps its instance running.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::credential::Owner;
use crate::id::{PrincipalId, ServerId};
use crate::limits::{MAX_TASKS, MAX_TASKS_PER_PRINCIPAL};
use crate::runtime::InstanceKey;
use crate::transport::Party;

/// A task's own id, and the conversation in which that id is valid: an HTTP server may number the tasks of each of its
/// sessions from one. Over a pipe, and with a server without sessions, all callers share one conversation (0).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) key: InstanceKey,
    pub(crate) conversation: Party,
    pub(crate) id: Arc<str>,
}

/// A known task.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The owning principal. `None` if two callers received the same id or the credential was removed: no caller may
    /// use the task.
    pub(crate) principal: Option<PrincipalId>,
    /// The id that the caller knows.
    pub(crate) sealed: Arc<str>,
    /// `true` once the server has answered the caller about the task.
    confirmed: bool,
    ended: bool,
    until: Instant,
    /// Sequence number; the lowest belongs to the oldest task.
    age: u64,
}

impl Known {
    pub(crate) fn is_of(&self, principal: &PrincipalId) -> bool {
        self.principal.as_ref() == Some(principal)
    }
}

/// Outcome of claiming a task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The task belongs to this principal.
    Theirs,
    /// The server gave this id to another principal before.
    Anothers,
}

/// The tasks of all callers.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    tasks: HashMap<Place, Known>,
    ages: u64,
}

impl Tasks {
    /// Returns `true` if a task keeps this instance running.
    pub(crate) fn holds(&self, key: &InstanceKey) -> bool {
        let now = Instant::now();
        let mut table = self.0.lock();
        table.tasks.retain(|_, known| known.until > now);
        let mut tasks = table.tasks.iter();
        tasks.any(|(place, known)| place.key == *key && !known.ended)
    }

    /// Returns the known task at a place.
    pub(crate) fn get(&self, place: &Place) -> Option<Known> {
        self.0.lock().tasks.get(place).cloned()
    }

    /// Records a task that a server created for this principal.
    ///
    /// If another principal already has this id, one of the callers may have made the server repeat an id that is not
    /// its own. A principal that the server has answered about the task keeps it. Otherwise the task loses its owner,
    /// because the first caller may have guessed the id.
    pub(crate) fn claim(
        &self,
        place: Place,
        principal: &PrincipalId,
        sealed: &str,
        ttl: Duration,
    ) -> Claim {
        let (mut table, until) = (self.0.lock(), Instant::now() + ttl);
        if let Some(known) = table.tasks.get_mut(&place) {
            if !known.is_of(principal) {
                if !known.confirmed {
                    known.principal = None;
                }
                return Claim::Anothers;
            }
            known.until = until;
            known.sealed = sealed.into();
            return Claim::Theirs;
        }
        table.make_room(principal);
        table.ages += 1;
        let known = Known {
            principal: Some(principal.clone()),
            sealed: sealed.into(),
            confirmed: false,
            ended: false,
            until,
            age: table.ages,
        };
        table.tasks.insert(place, known);
        Claim::Theirs
    }

    /// Records that the server answered this principal about a task, and whether the task has ended.
    pub(crate) fn confirm(&self, place: &Place, principal: &PrincipalId, ended: bool) {
        if let Some(known) = self.0.lock().tasks.get_mut(place)
            && known.is_of(principal)
        {
            known.confirmed = true;
            known.ended |= ended;
        }
    }

    /// Removes the owner from all tasks that were created with a credential, after the credential was removed.
    pub(crate) fn lose(&self, server: &ServerId, owner: &Owner) {
        for (place, known) in &mut self.0.lock().tasks {
            if place.key.server() == server && place.key.owner() == owner {
                known.principal = None;
            }
        }
    }

    /// Returns the ids of a principal's tasks in a conversation, each with its sealed id.
    pub(crate) fn ids(
        &self,
        key: &InstanceKey,
        conversation: Party,
        principal: &PrincipalId,
    ) -> HashMap<Arc<str>, Arc<str>> {
        let table = self.0.lock();
        let own = table.tasks.iter().filter(|(place, known)| {
            place.key == *key && place.conversation == conversation && known.is_of(principal)
        });
        own.map(|(place, known)| (Arc::clone(&place.id), Arc::clone(&known.sealed)))
            .collect()
    }
}

impl Table {
    /// Drops the oldest task of the principal, or of the principal with the most tasks if the table is full. A dropped
    /// task can still be reached through its sealed id.
    fn make_room(&mut self, principal: &PrincipalId) {
        let now = Instant::now();
        if self.tasks.len() >= MAX_TASKS {
            self.tasks.retain(|_, known| known.until > now);
        }
        if self.count(principal) >= MAX_TASKS_PER_PRINCIPAL {
            self.forget_oldest_of(principal);
        } else if self.tasks.len() >= MAX_TASKS {
            let mut counts: HashMap<&PrincipalId, usize> = HashMap::new();
            for known in self.tasks.values() {
                if let Some(principal) = &known.principal {
                    *counts.entry(principal).or_default() += 1;
                }
            }
            let most = counts.into_iter().max_by_key(|(_, count)| *count);
            if let Some(most) = most.map(|(principal, _)| principal.clone()) {
                self.forget_oldest_of(&most);
            }
        }
    }

    fn count(&self, principal: &PrincipalId) -> usize {
        let own = self.tasks.values().filter(|known| known.is_of(principal));
        own.count()
    }

    fn forget_oldest_of(&mut self, principal: &PrincipalId) {
        let own = self
            .tasks
            .iter()
            .filter(|(_, known)| known.is_of(principal));
        let oldest = own.min_by_key(|(_, known)| known.age);
        if let Some(place) = oldest.map(|(place, _)| place.clone()) {
            self.tasks.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Revision;
    use crate::runtime::{Scope, SpecDigest};

    fn place(conversation: Party, id: &str) -> Place {
        let key = InstanceKey::new(
            ServerId::new("x").unwrap(),
            Owner::Organization,
            Revision::none(),
            Scope::Shared,
            SpecDigest::from_text("0"),
        );
        let id = id.into();
        Place {
            key,
            conversation,
            id,
        }
    }

    fn who(name: &str) -> PrincipalId {
        PrincipalId::new(name).unwrap()
    }

    fn claim(tasks: &Tasks, place: Place, name: &str) -> Claim {
        tasks.claim(place, &who(name), "sealed", Duration::from_mins(1))
    }

    #[tokio::test]
    async fn id_given_to_two_callers_belongs_to_neither() {
        let tasks = Tasks::default();
        assert_eq!(claim(&tasks, place(0, "1"), "ann"), Claim::Theirs);
        assert_eq!(claim(&tasks, place(0, "1"), "ann"), Claim::Theirs);
        assert_eq!(claim(&tasks, place(0, "1"), "bob"), Claim::Anothers);
        let known = tasks.get(&place(0, "1")).unwrap();
        assert!(!known.is_of(&who("ann")) && !known.is_of(&who("bob")));
        assert_eq!(claim(&tasks, place(0, "1"), "ann"), Claim::Anothers);
        // The same id in another conversation is another task.
        assert_eq!(claim(&tasks, place(7, "1"), "bob"), Claim::Theirs);
    }

    #[tokio::test]
    async fn task_known_to_the_server_stays_with_its_caller() {
        let tasks = Tasks::default();
        claim(&tasks, place(0, "1"), "ann");
        tasks.confirm(&place(0, "1"), &who("bob"), true);
        tasks.confirm(&place(0, "1"), &who("ann"), false);
        assert_eq!(claim(&tasks, place(0, "1"), "bob"), Claim::Anothers);
        assert!(tasks.get(&place(0, "1")).unwrap().is_of(&who("ann")));
        assert!(tasks.holds(&place(0, "1").key));
        tasks.confirm(&place(0, "1"), &who("ann"), true);
        assert!(!tasks.holds(&place(0, "1").key));
    }

    #[tokio::test]
    async fn one_caller_cannot_evict_the_tasks_of_another() {
        let tasks = Tasks::default();
        claim(&tasks, place(0, "bobs"), "bob");
        for n in 0..MAX_TASKS_PER_PRINCIPAL + 5 {
            claim(&tasks, place(0, &n.to_string()), "ann");
        }
        assert_eq!(tasks.0.lock().count(&who("ann")), MAX_TASKS_PER_PRINCIPAL);
        assert!(tasks.get(&place(0, "0")).is_none());
        assert!(tasks.get(&place(0, "5")).is_some());
        assert!(tasks.get(&place(0, "bobs")).unwrap().is_of(&who("bob")));
    }
}
