//! Chooses the working directory of a program from a foreign file.
//!
//! Editors start programs in the project's folder. An argument that names a file there, such as `./server.js`, is not
//! found from another folder.

use std::path::Path;

use super::syntax::Syntax;
use crate::config::schema::server::ServerEntry;
use crate::config::schema::value::{TextOr, Typed};

/// Longer arguments are not paths.
const MAX_PATH_LEN: usize = 1024;

/// Sets the working directory to this folder if arguments are relative to it and no other is configured.
pub(super) fn choose(folder: &Path, entry: &mut ServerEntry) {
    if entry.command.is_none() || entry.cwd.is_some() || !folder.is_absolute() {
        return;
    }
    let listed = match &entry.command {
        Some(TextOr::Other(list)) => list.get(1..).unwrap_or_default(),
        _ => &[],
    };
    let mut args = listed.iter().chain(entry.args.iter().flatten());
    if args.any(|arg| is_relative(folder, &arg.0)) {
        let folder = Syntax::Plain.editor(&folder.to_string_lossy());
        entry.cwd = Some(Typed(folder));
    }
}

fn is_relative(folder: &Path, arg: &str) -> bool {
    let odd = arg.is_empty()
        || arg.len() > MAX_PATH_LEN
        || arg.starts_with(['-', '/', '~', '@', '$'])
        || arg.contains("://")
        || arg.contains('\0');
    if odd {
        return false;
    }
    let says_so = arg.starts_with("./") || arg.starts_with("../");
    says_so || (arg.contains(['/', '.']) && folder.join(arg).exists())
}
