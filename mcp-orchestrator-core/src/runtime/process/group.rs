//! Process groups: how a program is started in a group that the guard already knows, and how a group is ended.
//!
//! A group exists only while it has a process. So a *founder*, a shell that waits for end-of-file on its input,
//! creates the group; the guard is notified; then the program is started directly in the group, and the founder
//! exits. There is no wrapper around the program: its environment, its arguments, its input and a start error are
//! exactly its own. A program that creates its own group (`timeout`, `setsid`) is also tracked under its own process
//! ID.
//!
//! Programs that run under a keeper (see [`super::keeper`]) need no founder; for them, groups are a second line of
//! defence.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid,
};
use tokio::process::{Child, Command};

use crate::backoff::Backoff;

/// Creates a group and keeps it alive until the program has joined it.
#[derive(Debug)]
pub(super) struct GroupFounder {
    child: Child,
    id: Pid,
}

/// The process groups of one program. The system reuses IDs, so an empty group is forgotten at once.
#[derive(Debug)]
pub(super) struct Groups {
    ids: Vec<Pid>,
    /// Descendants of the program seen so far, including any that have left the groups.
    #[cfg(target_os = "linux")]
    seen: std::collections::BTreeSet<super::process_tree::Process>,
}

// === impl Founder ===

impl GroupFounder {
    pub(super) fn new() -> io::Result<Self> {
        let child = Command::new("/bin/sh")
            .args(["-c", "read -r line", "mcp-orchestrator-founder"])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let id = pid(&child)?;
        Ok(Self { child, id })
    }

    /// Returns the ID of the group.
    pub(super) fn id(&self) -> Pid {
        self.id
    }

    /// Exits and leaves the group to its other members.
    pub(super) async fn leave(mut self) {
        drop(self.child.stdin.take());
        // The shell reads end-of-file and exits; an error means that there is no child to wait for.
        let _ = self.child.wait().await;
    }
}

// === impl Groups ===

impl Groups {
    /// Takes the group that the program was started in, and the program's own process ID, under which it may create
    /// another group.
    pub(super) fn new(ids: impl Into<Vec<Pid>>) -> Self {
        Self {
            ids: ids.into(),
            #[cfg(target_os = "linux")]
            seen: std::collections::BTreeSet::new(),
        }
    }

    /// Returns the group IDs.
    pub(super) fn ids(&self) -> Vec<i32> {
        let ids = self.ids.iter();
        ids.map(|id| id.as_raw_nonzero().get()).collect()
    }

    /// Sends a signal to all members of the groups, and to descendants that have left them.
    pub(super) fn signal(&mut self, signal: Signal) {
        #[cfg(target_os = "linux")]
        self.look();
        for &group in &self.ids {
            // The group may be gone or may never have been created.
            let _ = kill_process_group(group, signal);
        }
        #[cfg(target_os = "linux")]
        self.seen.iter().for_each(|process| process.signal(signal));
    }

    /// Records the current descendants, because they cannot be found through their parents once those have exited.
    #[cfg(target_os = "linux")]
    fn look(&mut self) {
        let mut roots = self.ids();
        roots.extend(self.seen.iter().map(|process| process.pid));
        self.seen.extend(super::process_tree::family(&roots));
    }

    #[cfg(target_os = "linux")]
    fn none_seen(&mut self) -> bool {
        self.seen.retain(|process| process.runs());
        self.seen.is_empty()
    }

    #[cfg(not(target_os = "linux"))]
    fn none_seen(&mut self) -> bool {
        true
    }

    /// Returns `true` if no process is left. Call it only after waiting for the program itself: until then its ID is
    /// in use, and only its [`Child`] may wait for it.
    pub(super) fn are_empty(&mut self) -> bool {
        self.ids.retain(|&group| {
            // As the first process of a container, this process inherits orphans and must wait for them.
            while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
            test_kill_process_group(group).is_ok()
        });
        self.ids.is_empty() && self.none_seen()
    }

    /// Waits until no process is left. It polls, because the system reports the end of a process only to its parent.
    pub(super) async fn emptied(&mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(100));
        while !self.are_empty() {
            let pause = backoff.next_delay();
            tokio::time::sleep(pause).await;
            if pause > Duration::from_millis(10)
                && self.none_seen()
                && !self.ids.iter().any(|&group| is_alive(group))
            {
                return;
            }
        }
    }
}

/// Returns `true` if a process of this group is running. Zombies do not count: the first process of some containers
/// never reaps them.
#[cfg(target_os = "linux")]
fn is_alive(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return true;
    };
    let group = group.as_raw_nonzero().to_string();
    processes.flatten().any(|process| {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // `pid (name) state parent group …`, where the name may contain any character.
        let mut fields = stat
            .rsplit_once(") ")
            .map_or("", |(_, rest)| rest)
            .split(' ');
        let state = fields.next();
        fields.nth(1) == Some(group.as_str()) && !matches!(state, Some("Z" | "X"))
    })
}

#[cfg(not(target_os = "linux"))]
fn is_alive(_group: Pid) -> bool {
    true
}

/// Returns the process ID of a child that has not been waited for yet.
pub(super) fn pid(child: &Child) -> io::Result<Pid> {
    child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the process has no number"))
}
