//! Process groups: how a program comes into one that the guard knows already, and how a group is ended.
//!
//! A group exists only while a process is in it. So a *founder*, a shell that waits for the end of its input, makes
//! the group; the guard learns of it; then the program is started right into it and the founder leaves. No wrapper
//! stands between us and the program: its environment, its arguments, its input and the error of its start are exactly
//! its own. A program that makes a group of its own (`timeout`, `setsid`) is led under its own number as well.
//!
//! Programs whose host has keepers (see [`super::keeper`]) need no founder; their groups are the second line.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid,
};
use tokio::process::{Child, Command};

/// Makes a group and keeps it until the program is in it.
#[derive(Debug)]
pub(super) struct Founder {
    child: Child,
    id: Pid,
}

/// The groups of one program. Numbers are used again by the system, so one that is empty is forgotten at once.
#[derive(Debug)]
pub(super) struct Groups {
    ids: Vec<Pid>,
    /// Descendants of the program that were seen, for those that are in none of the groups.
    #[cfg(target_os = "linux")]
    seen: std::collections::BTreeSet<super::tree::Process>,
}

// === impl Founder ===

impl Founder {
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

    /// The group's number.
    pub(super) fn id(&self) -> Pid {
        self.id
    }

    /// Leaves the group to whoever is in it.
    pub(super) async fn leave(mut self) {
        drop(self.child.stdin.take());
        // It reads the end of its input and ends; where it cannot be waited for there is nothing to wait for.
        let _ = self.child.wait().await;
    }
}

// === impl Groups ===

impl Groups {
    /// The group that a program was started into, and its own number, under which it may make another.
    pub(super) fn new(ids: impl Into<Vec<Pid>>) -> Self {
        Self {
            ids: ids.into(),
            #[cfg(target_os = "linux")]
            seen: std::collections::BTreeSet::new(),
        }
    }

    /// Their numbers.
    pub(super) fn ids(&self) -> Vec<i32> {
        let ids = self.ids.iter();
        ids.map(|id| id.as_raw_nonzero().get()).collect()
    }

    /// Sends a signal to all that is in them, and to descendants that left them.
    pub(super) fn signal(&mut self, signal: Signal) {
        #[cfg(target_os = "linux")]
        self.look();
        for &group in &self.ids {
            // A group that is gone, or was never made, needs no signal.
            let _ = kill_process_group(group, signal);
        }
        #[cfg(target_os = "linux")]
        self.seen.iter().for_each(|process| process.signal(signal));
    }

    /// Remembers the descendants: they are no longer found by their parents once those have ended.
    #[cfg(target_os = "linux")]
    fn look(&mut self) {
        let mut roots = self.ids();
        roots.extend(self.seen.iter().map(|process| process.pid));
        self.seen.extend(super::tree::family(&roots));
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

    /// Whether nothing is left. To be asked only after the program itself was waited for: until then its number is its
    /// own, and waiting is the business of its [`Child`].
    pub(super) fn are_empty(&mut self) -> bool {
        self.ids.retain(|&group| {
            // Where we are the first process of a container, orphans become our children and are ours to wait for.
            while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
            test_kill_process_group(group).is_ok()
        });
        self.ids.is_empty() && self.none_seen()
    }

    /// Ends once nothing is left. The system tells nobody of the end of a process that is not his child, so it is
    /// looked for.
    pub(super) async fn emptied(&mut self) {
        let mut pause = Duration::from_millis(1);
        while !self.are_empty() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
            if pause > Duration::from_millis(20)
                && self.none_seen()
                && !self.ids.iter().any(|&group| is_alive(group))
            {
                return;
            }
        }
    }
}

/// Whether a process of this group runs; those that have ended and wait for their parent to notice do not count. Some
/// containers have a first process that never notices.
#[cfg(target_os = "linux")]
fn is_alive(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return true;
    };
    let group = group.as_raw_nonzero().to_string();
    processes.flatten().any(|process| {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // `pid (name) state parent group …`, where the name may hold anything.
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

/// The number of a child that was not waited for yet.
pub(super) fn pid(child: &Child) -> io::Result<Pid> {
    child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the process has no number"))
}
