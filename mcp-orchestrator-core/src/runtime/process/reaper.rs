//! The guard: a small process that briefly outlives this one and ends what it leaves behind.
//!
//! It is a shell that runs a constant script in its own process group, and reads the IDs of our groups from a pipe
//! that this process holds open. However this process ends, even by SIGKILL, the system closes the pipe; the guard
//! then ends every group that is still listed and deletes the folder of secret files.
//!
//! Without a keeper, a group is listed *before* the program joins it (see [`super::group`]), so no program is ever
//! unknown to the guard. A program under a keeper is listed after its start, because the keeper ends it anyway.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// `+ID` adds a group, `-ID` removes it; `$1` is the folder of secret files.
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT PIPE USR1 USR2
groups=' '
while IFS= read -r line; do
  id=${line#?}
  case $line in
    +*) groups="$groups$id " ;;
    -*) case $groups in *" $id "*) groups="${groups%%" $id "*} ${groups#*" $id "}" ;; esac ;;
  esac
done
rm -rf -- "$1"
case $groups in *[0-9]*) ;; *) exit 0 ;; esac
for id in $groups; do kill -s TERM -- "-$id"; done
sleep 1
for id in $groups; do kill -s KILL -- "-$id"; done
rm -rf -- "$1"
"#;

/// Delay between a guard's unexpected end and its replacement.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// Lists our groups with the guard process, and keeps that process running.
#[derive(Debug)]
pub(super) struct Guard {
    folder: PathBuf,
    orders: OnceLock<mpsc::Sender<Order>>,
}

#[derive(Debug)]
enum Order {
    /// Adds a group; `None` only makes sure that a guard is running.
    List(Option<Pid>, oneshot::Sender<io::Result<()>>),
    Strike(Vec<Pid>),
}

// === impl Guard ===

impl Guard {
    /// Creates a guard. Its process starts with the first group, and deletes `folder` at the end.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            orders: OnceLock::new(),
        }
    }

    /// Adds a group, so that it ends with this process at the latest; `folder` is deleted at that point. With `None`,
    /// only makes sure that a guard is running.
    pub(super) async fn list(
        &self,
        group: Option<Pid>,
        tasks: &TaskTracker,
        closing: &CancellationToken,
    ) -> io::Result<()> {
        let orders = self.orders.get_or_init(|| {
            let (sender, orders) = mpsc::channel(64);
            let post = Post {
                folder: self.folder.clone(),
                groups: BTreeSet::new(),
                process: None,
            };
            tasks.spawn(
                closing
                    .clone()
                    .run_until_cancelled_owned(post.stand(orders)),
            );
            sender
        });
        let (done, listed) = oneshot::channel();
        let over = || io::Error::other("the backend is closed");
        let order = Order::List(group, done);
        orders.send(order).await.map_err(|_| over())?;
        listed.await.map_err(|_| over())?
    }

    /// Removes groups that have ended.
    pub(super) async fn strike(&self, groups: Vec<Pid>) {
        if let Some(orders) = self.orders.get() {
            // Fails once the backend is closed, when no list is kept any more.
            let _ = orders.send(Order::Strike(groups)).await;
        }
    }
}

/// The task that owns the guard process. When it ends, the pipe is closed.
struct Post {
    folder: PathBuf,
    groups: BTreeSet<i32>,
    process: Option<Child>,
}

// === impl Post ===

impl Post {
    async fn stand(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(Order::List(group, done)) => {
                        let listed = match group {
                            Some(group) => self.list(group.as_raw_nonzero().get()).await,
                            None => self.tell(&[]).await,
                        };
                        // The requester may have been cancelled.
                        let _ = done.send(listed);
                    }
                    Some(Order::Strike(groups)) => self.strike(&groups).await,
                },
                () = ended(&mut self.process) => {
                    tracing::warn!("the guard process has ended; another one takes its place");
                    self.process = None;
                    tokio::time::sleep(RESTART_PAUSE).await;
                    if let Err(error) = self.tell(&[]).await {
                        tracing::error!(%error, "no guard process can be started");
                    }
                }
            }
        }
    }

    async fn list(&mut self, group: i32) -> io::Result<()> {
        self.groups.insert(group);
        let told = self.tell(format!("+{group}\n").as_bytes()).await;
        if told.is_err() {
            self.groups.remove(&group);
        }
        told
    }

    async fn strike(&mut self, groups: &[Pid]) {
        let mut lines = String::new();
        for group in groups {
            let group = group.as_raw_nonzero().get();
            if self.groups.remove(&group) {
                lines.push_str(&format!("-{group}\n"));
            }
        }
        if let Err(error) = self.tell(lines.as_bytes()).await {
            tracing::error!(%error, "no guard process can be started");
        }
    }

    /// Sends this line to the guard, or the whole list to a new one if there is no guard.
    async fn tell(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(stdin) = self.process.as_mut().and_then(|child| child.stdin.as_mut())
            && stdin.write_all(line).await.is_ok()
        {
            return Ok(());
        }
        let mut process = spawn(&self.folder)?;
        let list: String = self.groups.iter().map(|id| format!("+{id}\n")).collect();
        if let Some(stdin) = process.stdin.as_mut() {
            stdin.write_all(list.as_bytes()).await?;
        }
        self.process = Some(process);
        Ok(())
    }
}

/// Waits for the end of the guard process; pending if no process is running.
async fn ended(process: &mut Option<Child>) {
    let Some(child) = process else {
        return std::future::pending().await;
    };
    // `Child::wait` would close the pipe.
    let stdin = child.stdin.take();
    let restore = Restore { child, stdin };
    // An error means that there is no process to wait for.
    let _ = restore.child.wait().await;
}

/// Returns the pipe to the child when the wait completes or is dropped.
struct Restore<'a> {
    child: &'a mut Child,
    stdin: Option<tokio::process::ChildStdin>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        self.child.stdin = self.stdin.take();
    }
}

fn spawn(folder: &Path) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", SCRIPT, "mcp-orchestrator-guard"])
        .arg(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}
