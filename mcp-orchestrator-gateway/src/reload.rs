//! A changed configuration file is read again, and what differs is applied.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_orchestrator_core::config::{Notice, Problem, Problems, load};
use notify::{RecursiveMode, Watcher as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::control::Control;

/// Editors write in several steps: the last one counts.
const SETTLE: Duration = Duration::from_millis(200);

/// Watches these files and applies what changes, and reads them again at SIGHUP; a file that cannot be used changes nothing and is told.
pub(crate) async fn watch(control: Control) {
    let files = &control.files[..];
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
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::warn!(%error, "SIGHUP cannot be heard"),
    };
    let mut last = contents(files);
    loop {
        let asked = tokio::select! {
            change = changes.recv() => match change {
                Some(()) => false,
                None => return,
            },
            _ = hangup.recv() => true,
        };
        if !asked {
            tokio::time::sleep(SETTLE).await;
        }
        while changes.try_recv().is_ok() {}
        let now = contents(files);
        if now == last && !asked {
            continue;
        }
        last = now;
        // What is wrong was told.
        let _ = apply(&control).await;
    }
}

/// Reads the files again, applies what differs, and logs what is to be said; answers the notices.
///
/// # Errors
/// What is wrong; then the configuration before goes on.
pub(crate) async fn apply(control: &Control) -> Result<Vec<Notice>, Problems> {
    let Control {
        files,
        options,
        built,
        principal,
        ..
    } = control;
    let mut loaded = load(files, options).inspect_err(refused)?;
    let wrong = |message: String| {
        let file = files.first().map_or(Path::new(""), PathBuf::as_path);
        let problem = Problem {
            file: file.into(),
            position: None,
            key: String::new(),
            message,
        };
        Problems::from(vec![problem])
    };
    let live = control.live.upgrade();
    let next = live
        .as_ref()
        .map(|live| live.next(control, &loaded.settings))
        .transpose();
    let next = next.map_err(wrong).inspect_err(refused)?;
    let collisions = built.new_collisions(&loaded.settings, principal).await;
    collisions.map_err(Problems::from).inspect_err(refused)?;
    let told = built.reload(&loaded.settings);
    let told = told
        .map_err(|error| wrong(error.to_string()))
        .inspect_err(refused)?;
    loaded.notices.extend(told);
    if let (Some(live), Some(mut next)) = (live, next) {
        loaded.notices.append(&mut next.notices);
        live.take(built, next);
    }
    for notice in &loaded.notices {
        tracing::warn!("{notice}");
    }
    tracing::info!(
        servers = loaded.settings.servers.len(),
        "configuration applied"
    );
    Ok(loaded.notices)
}

fn refused(problems: &Problems) {
    for problem in &problems.problems {
        tracing::error!("{problem}");
    }
    tracing::error!("the changed configuration is not used; the one before goes on");
}

fn folder(file: &Path) -> Option<PathBuf> {
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
