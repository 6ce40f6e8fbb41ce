//! A running child and its descendants, under a keeper or in process groups.

use std::process::ExitStatus;

use rustix::process::Signal;
use tokio::process::Child;

use super::group::Groups;
#[cfg(target_os = "linux")]
use super::keeper::Kept;

/// A child and its descendants.
#[derive(Debug)]
pub(super) struct Running {
    program: Program,
    groups: Groups,
}

#[derive(Debug)]
enum Program {
    Child(Box<Child>),
    #[cfg(target_os = "linux")]
    Kept(Box<Kept>),
}

/// How to end a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Sends SIGTERM, so that it can clean up.
    Terminate,
    /// Sends SIGKILL.
    Kill,
}

// === impl Running ===

impl Running {
    /// Takes a direct child in these groups.
    pub(super) fn child(child: Child, groups: Groups) -> Self {
        Self {
            program: Program::Child(Box::new(child)),
            groups,
        }
    }

    /// Takes a program under a keeper. The groups are a second line of defence, in case the keeper itself is killed.
    #[cfg(target_os = "linux")]
    pub(super) fn kept(kept: Kept, groups: Groups) -> Self {
        Self {
            program: Program::Kept(Box::new(kept)),
            groups,
        }
    }

    /// Returns the root processes and groups of everything that was started: see [`super::process_tree::family`].
    pub(super) fn roots(&self) -> Vec<i32> {
        let mut roots = self.groups.ids();
        #[cfg(target_os = "linux")]
        if let Program::Kept(kept) = &self.program {
            roots.extend(kept.root());
        }
        roots
    }

    /// Waits for the end of the program; its descendants may still be running. Cancel safe.
    pub(super) async fn wait(&mut self) -> Option<ExitStatus> {
        match &mut self.program {
            Program::Child(child) => child.wait().await.ok(),
            #[cfg(target_os = "linux")]
            Program::Kept(kept) => kept.wait().await,
        }
    }

    /// Signals the program and its descendants to end.
    pub(super) fn signal(&mut self, ending: Ending) {
        #[cfg(target_os = "linux")]
        if let Program::Kept(kept) = &mut self.program
            && !kept.is_empty()
        {
            match ending {
                Ending::Terminate => kept.terminate(),
                Ending::Kill => kept.kill(),
            }
            return;
        }
        self.groups.signal(match ending {
            Ending::Terminate => Signal::TERM,
            Ending::Kill => Signal::KILL,
        });
    }

    /// Returns `true` if no process is left. Call it only after [`wait`](Self::wait).
    pub(super) fn is_empty(&mut self) -> bool {
        match &mut self.program {
            Program::Child(_) => self.groups.are_empty(),
            #[cfg(target_os = "linux")]
            Program::Kept(kept) => kept.is_empty() && self.groups.are_empty(),
        }
    }

    /// Waits until no process is left.
    pub(super) async fn emptied(&mut self) {
        #[cfg(target_os = "linux")]
        if let Program::Kept(kept) = &mut self.program {
            kept.emptied().await;
        }
        self.groups.emptied().await;
    }
}
