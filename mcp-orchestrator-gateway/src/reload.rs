//! A changed configuration file is read again, and what differs is applied.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::config::{Built, LoadOptions, Notice, Problems, load};
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// Editors write in several steps: the last one counts.
const SETTLE: Duration = Duration::from_millis(200);

/// Watches these files and applies what changes; a file that cannot be used changes nothing and is told.
pub(crate) async fn watch(files: Vec<PathBuf>, options: LoadOptions, built: Arc<Built>) {
    let (sender, mut changes) = mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // One that waits already stands for this one too.
            let _ = sender.try_send(());
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => return tracing::warn!(%error, "configuration files are not watched"),
    };
    // The folder, since a file that is replaced is another file; a link's target may stand elsewhere.
    let mut folders: Vec<PathBuf> = files.iter().filter_map(|file| folder(file)).collect();
    folders.extend(
        files
            .iter()
            .filter_map(|file| folder(&file.canonicalize().ok()?)),
    );
    folders.sort();
    folders.dedup();
    for folder in &folders {
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            tracing::warn!(folder = %folder.display(), %error, "configuration files are not watched");
        }
    }
    let mut last = contents(&files);
    while changes.recv().await.is_some() {
        tokio::time::sleep(SETTLE).await;
        while changes.try_recv().is_ok() {}
        let now = contents(&files);
        if now == last {
            continue;
        }
        last = now;
        // What is wrong was told.
        let _ = apply(&files, &options, &built);
    }
}

/// Reads the files again, applies what differs, and logs what is to be said; answers the notices.
///
/// # Errors
/// What is wrong; then the configuration before goes on.
pub(crate) fn apply(
    files: &[PathBuf],
    options: &LoadOptions,
    built: &Built,
) -> Result<Vec<Notice>, Problems> {
    let loaded = load(files, options).inspect_err(|problems| {
        for problem in &problems.problems {
            tracing::error!("{problem}");
        }
        tracing::error!("the changed configuration is not used; the one before goes on");
    })?;
    for notice in &loaded.notices {
        tracing::warn!("{notice}");
    }
    built.reload(&loaded.settings);
    tracing::info!(
        servers = loaded.settings.servers.len(),
        "configuration applied"
    );
    Ok(loaded.notices)
}

fn folder(file: &std::path::Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    Some(if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder.to_path_buf()
    })
}

fn contents(files: &[PathBuf]) -> Vec<Option<Vec<u8>>> {
    files.iter().map(|file| std::fs::read(file).ok()).collect()
}
