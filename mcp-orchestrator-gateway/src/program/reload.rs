//! Reads changed configuration files again and applies the differences.
//!
//! A file does not show whether its writer has finished. A change is therefore applied once the file has been unchanged
//! for a moment, or longer if servers are missing. A file that is empty or ends within a line is never applied
//! automatically.
//!
//! Changes, SIGHUP and requests may arrive at once. Only one reload runs at a time, and each reads the files when its
//! turn comes, so that an earlier text never replaces a later one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_orchestrator_core::config::{
    LoadOptions, Notice, Problem, Problems, is_empty_text, read_text,
};
use mcp_orchestrator_core::id::ServerId;
use notify::{RecursiveMode, Watcher as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::reload_turns::{Texts, load, texts};
use crate::control::Control;

/// How long a file must be unchanged, because editors write in several steps.
const QUIET: Duration = Duration::from_millis(200);
/// The same for a change that removes servers or the last line's end, which is what a half-written file looks like.
const QUIET_AFTER_LOSS: Duration = Duration::from_secs(3);

/// Watches the files and applies changes; reads them again at SIGHUP. An invalid file changes nothing and is logged.
pub(crate) async fn watch(control: Control) {
    let files = &control.files[..];
    let (sender, mut changes) = mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A notification that is already queued covers this event too.
            let _ = sender.try_send(());
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => return tracing::warn!(%error, "configuration files are not watched"),
    };
    // Watch the folder, because replacing a file creates a new one. A symbolic link's target may be in another folder.
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
    control.reloads.start(files).await;
    loop {
        let asked = tokio::select! {
            change = changes.recv() => match change {
                Some(()) => false,
                None => return,
            },
            _ = hangup.recv() => true,
        };
        if asked {
            // `apply` logs the errors.
            let _ = apply(&control).await;
            continue;
        }
        let now = settled(&mut changes, &control).await;
        let _turn = control.reloads.turn().await;
        let last = control.reloads.last();
        // A file that changes again causes another notification.
        if now == last || now != texts(files).await || is_cut(files, &now, &last) {
            continue;
        }
        let _ = apply_texts(&control, now).await;
    }
}

/// Waits until the files have been unchanged long enough.
async fn settled(changes: &mut mpsc::Receiver<()>, control: &Control) -> Texts {
    let files = &control.files[..];
    let mut now = texts(files).await;
    let mut quiet = QUIET;
    loop {
        tokio::time::sleep(quiet).await;
        while changes.try_recv().is_ok() {}
        let then = std::mem::replace(&mut now, texts(files).await);
        let last = control.reloads.last();
        if now == last {
            return now;
        }
        let needed = if loses(files, &now, &last, &control.options).await {
            QUIET_AFTER_LOSS
        } else {
            QUIET
        };
        if now == then && quiet >= needed {
            return now;
        }
        quiet = needed;
    }
}

/// Returns `true` if a change looks like a half-written file: servers are missing, or the end of the last line.
async fn loses(files: &[PathBuf], now: &Texts, last: &Texts, options: &LoadOptions) -> bool {
    let unended = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.ends_with('\n'));
    let end_is_gone = now
        .iter()
        .zip(last)
        .any(|(now, last)| now != last && unended(now) && !unended(last));
    if end_is_gone {
        return true;
    }
    let names = async |texts: &Texts| -> Option<BTreeSet<ServerId>> {
        let loaded = load(named(files, texts).ok()?, options).await.ok()?;
        let servers = loaded.settings.servers.iter();
        Some(servers.map(|server| server.id.clone()).collect())
    };
    match (names(last).await, names(now).await) {
        (Some(last), Some(now)) => !last.is_subset(&now),
        _ => false,
    }
}

/// Returns `true` if a file is empty or ends within a line of its previous text. It is then applied only on request.
fn is_cut(files: &[PathBuf], now: &Texts, last: &Texts) -> bool {
    let mut cut = false;
    for ((file, now), last) in files.iter().zip(now).zip(last) {
        let (Some(now), Some(last)) = (now, last) else {
            continue;
        };
        if is_empty_text(file, now) && !is_empty_text(file, last) {
            tracing::error!(file = %file.display(), "the file is empty: the configuration before stays in use");
            cut = true;
        } else if let Some(rest) = last.strip_prefix(now.as_str())
            && !now.ends_with('\n')
            && !rest.trim().is_empty()
            && !rest.starts_with('\n')
        {
            tracing::error!(
                file = %file.display(),
                "the file breaks off inside a line of what it was: the configuration before stays in use; if this is \
                 meant, run `mcp-orchestrator reload`"
            );
            cut = true;
        }
    }
    cut
}

/// Reads the files again, applies the differences, logs the notices and returns them.
///
/// # Errors
/// If the configuration is invalid; the previous one stays in use.
pub(crate) async fn apply(control: &Control) -> Result<Vec<Notice>, Problems> {
    let _turn = control.reloads.turn().await;
    apply_texts(control, texts(&control.files).await).await
}

/// Applies these texts. The caller has its turn.
async fn apply_texts(control: &Control, texts: Texts) -> Result<Vec<Notice>, Problems> {
    let Control {
        files,
        options,
        built,
        principal,
        ..
    } = control;
    let named = named(files, &texts);
    control.reloads.begin(texts);
    let named = named.inspect_err(refused)?;
    let mut loaded = load(named, options).await.inspect_err(refused)?;
    let wrong = |message: String| {
        let file = files.first().map_or(Path::new(""), PathBuf::as_path);
        Problems::from(vec![problem(file, message)])
    };
    let live = control.live.upgrade();
    let next = live
        .as_ref()
        .map(|live| live.next(control, &loaded.settings))
        .transpose();
    let next = next.map_err(wrong).inspect_err(refused)?;
    let collisions = built.new_conflicts(&loaded.settings, principal).await;
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
    tracing::error!("reload rejected; keeping the previous configuration");
}

fn folder(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    Some(if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder.to_path_buf()
    })
}

/// Pairs the texts with their file names.
///
/// # Errors
/// If a file cannot be read or is empty.
fn named(files: &[PathBuf], texts: &Texts) -> Result<Vec<(PathBuf, String)>, Problems> {
    let mut named = Vec::new();
    let mut problems = Vec::new();
    for (file, text) in files.iter().zip(texts) {
        match text {
            Some(text) if is_empty_text(file, text) => {
                let message = "the file is empty; `servers: {}` says that there are no servers";
                problems.push(problem(file, message.to_owned()));
            }
            Some(text) => named.push((file.clone(), text.clone())),
            None => {
                let why = read_text(file).err();
                problems.push(problem(
                    file,
                    why.unwrap_or_else(|| "the file changes".to_owned()),
                ));
            }
        }
    }
    if problems.is_empty() {
        Ok(named)
    } else {
        Err(Problems::from(problems))
    }
}

fn problem(file: &Path, message: String) -> Problem {
    Problem {
        file: file.into(),
        position: None,
        key: String::new(),
        message,
    }
}
