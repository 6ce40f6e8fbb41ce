//! Files and folders that only the current user may read, written atomically.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Prefix of files that are still being written. No document name begins with it.
const UNFINISHED: &str = "_new-";

/// Creates the folder and its parents; new folders get mode 0700.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Opens a file for reading and writing; a new file gets mode 0600.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = options();
    options.read(true).create(true).truncate(false);
    options.open(path)
}

/// Returns the permission bits of a file or folder, or `None` on systems without them.
pub(crate) fn mode(metadata: &std::fs::Metadata) -> Option<u32> {
    #[cfg(unix)]
    return Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777);
    #[cfg(not(unix))]
    return None;
}

/// Writes content to a temporary file in `dir`, to be moved into place by [`Written::place`].
pub(crate) fn write(dir: &Path, content: &[u8]) -> io::Result<Written> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
    let mut file = options().create_new(true).open(&path)?;
    let written = Written(Some(path));
    file.write_all(content)?;
    // Without this sync, a crash may leave the new name with no content.
    file.sync_all()?;
    Ok(written)
}

/// Returns the folder that contains a file.
#[cfg(feature = "local-store")]
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Syncs a folder, so that new names in it survive a power failure.
pub(crate) fn sync_dir(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    let _ = folder;
    Ok(())
}

/// A complete file that is not yet in place. It is deleted on drop.
pub(crate) struct Written(Option<std::path::PathBuf>);

impl Written {
    /// Returns the file's temporary path.
    #[cfg(feature = "local-store")]
    pub(crate) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Moves the file into place, replacing an existing one.
    pub(crate) fn place(mut self, path: &Path) -> io::Result<()> {
        if let Some(from) = self.0.as_ref() {
            std::fs::rename(from, path)?;
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // A file that cannot be deleted now is deleted by `sweep` at the next opening.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Deletes files that a crash left unfinished.
pub(crate) fn sweep(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
