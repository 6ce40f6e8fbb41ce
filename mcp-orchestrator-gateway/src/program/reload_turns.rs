//! One reload at a time, and the texts of the last one.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use mcp_orchestrator_core::config::{
    LoadOptions, Loaded, Problem, Problems, load_texts, read_text,
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The texts of the files; `None` if a file cannot be read.
pub(crate) type Texts = Vec<Option<String>>;

/// Reads the files, on a thread for blocking work: a file may be a pipe.
pub(crate) async fn texts(files: &[PathBuf]) -> Texts {
    let own = files.to_vec();
    let read = tokio::task::spawn_blocking(move || read_all(&own));
    read.await.unwrap_or_else(|_| vec![None; files.len()])
}

fn read_all(files: &[PathBuf]) -> Texts {
    files.iter().map(|file| read_text(file).ok()).collect()
}

/// Loads the configuration, on a thread for blocking work: it names further files.
///
/// # Errors
/// If it is invalid.
pub(crate) async fn load(
    texts: Vec<(PathBuf, String)>,
    options: &LoadOptions,
) -> Result<Loaded, Problems> {
    let options = options.clone();
    let loading = tokio::task::spawn_blocking(move || load_texts(&texts, &options));
    match loading.await {
        Ok(loaded) => loaded,
        Err(error) => Err(Problems::from(vec![Problem {
            file: PathBuf::new().into(),
            position: None,
            key: String::new(),
            message: format!("the configuration was not read: {error}"),
        }])),
    }
}

/// Lets one reload run at a time, and knows the texts of the last one.
#[derive(Debug)]
pub(crate) struct ReloadTurns {
    turn: Semaphore,
    last: Mutex<Texts>,
}

impl Default for ReloadTurns {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            last: Mutex::default(),
        }
    }
}

impl ReloadTurns {
    /// Records the present texts of the files, unless a reload has already done so.
    pub(crate) async fn start(&self, files: &[PathBuf]) {
        let _turn = self.turn().await;
        if self.last().is_empty() {
            self.begin(texts(files).await);
        }
    }

    /// Waits until no other reload runs. The turn ends when the permit is dropped.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.turn.acquire().await.ok()
    }

    /// Records the texts of a reload, whether it succeeds or not.
    pub(crate) fn begin(&self, texts: Texts) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = texts;
    }

    /// Returns the texts of the last reload.
    pub(crate) fn last(&self) -> Texts {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }
}
