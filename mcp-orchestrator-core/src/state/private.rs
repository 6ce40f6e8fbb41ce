//! Files and folders that only we may read, written so that a reader never sees half of one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a file begins with that is still being written. No document's name does.
const UNFINISHED: &str = "_new-";

/// Makes the folder and those above it; 0700 where it is made now.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Opens for reading and writing, made with 0600 where it is not there.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = options();
    options.read(true).create(true).truncate(false);
    options.open(path)
}

/// The permission bits of a file or folder; `None` where the system has none.
pub(crate) fn mode(metadata: &std::fs::Metadata) -> Option<u32> {
    #[cfg(unix)]
    return Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777);
    #[cfg(not(unix))]
    return None;
}

/// Writes content beside its place, to be put there by [`Written::place`].
pub(crate) fn write(dir: &Path, content: &[u8]) -> io::Result<Written> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
    let mut file = options().create_new(true).open(&path)?;
    let written = Written(Some(path));
    file.write_all(content)?;
    // Else a crash may leave the new name with no content.
    file.sync_all()?;
    Ok(written)
}

/// The folder that a file stands in.
#[cfg(feature = "local-store")]
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes names in a folder outlive a power failure.
pub(crate) fn sync_dir(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    let _ = folder;
    Ok(())
}

/// A file that is complete and not in its place yet; dropped, it is taken away.
pub(crate) struct Written(Option<std::path::PathBuf>);

impl Written {
    /// Where it stands now.
    #[cfg(feature = "local-store")]
    pub(crate) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Puts it in its place, instead of what stands there.
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
            // What cannot be taken away now is swept at the next opening.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Takes away what a crash left unfinished.
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
