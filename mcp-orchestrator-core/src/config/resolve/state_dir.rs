//! The default state directory: one per configuration file.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::source::interpolate::Variables;
use crate::id::to_dns_label;

/// Returns `$XDG_STATE_HOME/mcp-orchestrator/<name>-<hash>`, or the same below `~/.local/state`. Name and hash are
/// derived from the canonical path of the first file, so that two configurations never share a state directory,
/// wherever they are started from.
///
/// # Errors
/// A message if neither variable contains an absolute path.
pub(crate) fn default(file: Option<&Path>, variables: &Variables) -> Result<PathBuf, &'static str> {
    let absolute = |name: &str| {
        let path = PathBuf::from(variables.get(name)?);
        path.is_absolute().then_some(path)
    };
    let home = || absolute("HOME").map(|home| home.join(".local/state"));
    let base = absolute("XDG_STATE_HOME").or_else(home).ok_or(
        "cannot choose a state directory, because neither XDG_STATE_HOME nor HOME is set; set `state_dir` or \
         --state-dir",
    )?;
    let base = base.join("mcp-orchestrator");
    let Some(file) = file else {
        return Ok(base.join("default"));
    };
    let path = file
        .canonicalize()
        .or_else(|_| std::path::absolute(file))
        .unwrap_or_else(|_| file.to_path_buf());
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let hash: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let name = path
        .file_stem()
        .and_then(|stem| to_dns_label(&stem.to_string_lossy()));
    Ok(base.join(format!("{}-{hash}", name.as_deref().unwrap_or("config"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_config_file_has_its_own_state_directory() {
        let env = |name: &str, value: &str| Variables {
            env: [(name.to_owned(), value.to_owned())].into(),
            ..Variables::default()
        };
        let home = env("HOME", "/home/u");
        let one = default(Some(Path::new("/a/mcp.yaml")), &home).unwrap();
        let two = default(Some(Path::new("/b/mcp.yaml")), &home).unwrap();
        assert!(one.starts_with("/home/u/.local/state/mcp-orchestrator"));
        assert_ne!(one, two);
        assert!(
            one.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("mcp-")
        );
        let state = default(None, &env("XDG_STATE_HOME", "/s")).unwrap();
        assert_eq!(state, Path::new("/s/mcp-orchestrator/default"));
        assert!(default(None, &env("HOME", "relative")).is_err());
    }
}
