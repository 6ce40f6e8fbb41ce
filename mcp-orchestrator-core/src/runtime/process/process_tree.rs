//! The process tree of this system, read from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// A process. Its start time distinguishes it from a later process with the same ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pub(super) pid: i32,
    started: u64,
}

/// The relevant fields of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug)]
struct Stat {
    process: Process,
    parent: i32,
    group: i32,
    /// The process has exited and its parent has not waited for it yet.
    zombie: bool,
}

// === impl Process ===

impl Process {
    /// Sends a signal, unless the process has ended.
    pub(super) fn signal(self, signal: Signal) {
        if self.runs()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // The process may end in between.
            let _ = kill_process(pid, signal);
        }
    }

    /// Returns `true` if the process is still running.
    pub(super) fn runs(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.process == self && !stat.zombie)
    }
}

/// Returns the running descendants of these processes, without the processes themselves.
pub(super) fn descendants(roots: &[i32]) -> BTreeSet<Process> {
    find(roots, |_| false)
}

/// Returns the running processes among these, the members of groups with these IDs, and the descendants of both.
pub(super) fn family(roots: &[i32]) -> BTreeSet<Process> {
    find(roots, |stat| {
        roots.contains(&stat.process.pid) || roots.contains(&stat.group)
    })
}

fn find(roots: &[i32], belongs: impl Fn(&Stat) -> bool) -> BTreeSet<Process> {
    let all: Vec<Stat> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?))
        .collect();
    let mut children: BTreeMap<i32, Vec<&Stat>> = BTreeMap::new();
    for one in &all {
        children.entry(one.parent).or_default().push(one);
    }
    let mut seen: BTreeSet<i32> = roots.iter().copied().collect();
    let mut found = BTreeSet::new();
    let mut next: Vec<i32> = roots.to_vec();
    for one in all.iter().filter(|one| belongs(one)) {
        found.extend((!one.zombie).then_some(one.process));
        if seen.insert(one.process.pid) {
            next.push(one.process.pid);
        }
    }
    while let Some(pid) = next.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            found.extend((!child.zombie).then_some(child.process));
            if seen.insert(child.process.pid) {
                next.push(child.process.pid);
            }
        }
    }
    found
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // `pid (name) state parent group …`, where the name may contain any character.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // The start time is field 22 of the whole line.
    let started = fields.nth(16)?.parse().ok()?;
    Some(Stat {
        process: Process { pid, started },
        parent,
        group,
        zombie: matches!(state, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn grandchild_in_its_own_session_is_a_descendant() {
        let mut shell = Command::new("sh")
            .args(["-c", "setsid sh -c 'echo $$; exec sleep 600' & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = shell.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        let grandchild: i32 = line.trim().parse().unwrap();
        let root = i32::try_from(shell.id()).unwrap();
        let below = descendants(&[root]);
        let found = below.iter().find(|one| one.pid == grandchild);
        assert!(below.iter().all(|one| one.pid != root));
        assert!(family(&[root]).iter().any(|one| one.pid == root));
        let found = *found.expect("the grandchild is found");
        found.signal(Signal::KILL);
        shell.wait().unwrap();
        assert!(!found.runs());
    }
}
