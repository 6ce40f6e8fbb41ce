//! A child that runs, with all that it started: under a keeper, or in process groups.

use std::process::ExitStatus;

use rustix::process::Signal;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

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

/// How a child is brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// SIGTERM: it may clean up.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// Our ends of a program's standard streams.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
}

// === impl Running ===

impl Running {
    /// A child of ours in these groups.
    pub(super) fn child(child: Child, groups: Groups) -> Self {
        Self {
            program: Program::Child(Box::new(child)),
            groups,
        }
    }

    /// A program under a keeper. The groups are a second line, for when the keeper itself is killed.
    #[cfg(target_os = "linux")]
    pub(super) fn kept(kept: Kept, groups: Groups) -> Self {
        Self {
            program: Program::Kept(Box::new(kept)),
            groups,
        }
    }

    /// What everything descends from, and the groups: see [`super::tree::family`].
    pub(super) fn roots(&self) -> Vec<i32> {
        let mut roots = self.groups.ids();
        #[cfg(target_os = "linux")]
        if let Program::Kept(kept) = &self.program {
            roots.extend(kept.root());
        }
        roots
    }

    /// Waits for the end of the program; what it left behind may still run. Cancel safe.
    pub(super) async fn wait(&mut self) -> Option<ExitStatus> {
        match &mut self.program {
            Program::Child(child) => child.wait().await.ok(),
            #[cfg(target_os = "linux")]
            Program::Kept(kept) => kept.wait().await,
        }
    }

    /// Ends the program and all that it started.
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

    /// Whether nothing is left. To be asked only after [`wait`](Self::wait).
    pub(super) fn is_empty(&mut self) -> bool {
        match &mut self.program {
            Program::Child(_) => self.groups.are_empty(),
            #[cfg(target_os = "linux")]
            Program::Kept(kept) => kept.is_empty() && self.groups.are_empty(),
        }
    }

    /// Ends once nothing is left.
    pub(super) async fn emptied(&mut self) {
        #[cfg(target_os = "linux")]
        if let Program::Kept(kept) = &mut self.program {
            kept.emptied().await;
        }
        self.groups.emptied().await;
    }
}

// === impl Streams ===

impl Streams {
    /// Those of a child that was started with pipes.
    pub(super) fn of(child: &mut Child) -> Self {
        Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
        }
    }
}
