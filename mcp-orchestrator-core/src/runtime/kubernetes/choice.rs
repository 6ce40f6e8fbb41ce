//! Which configuration leads to the cluster: what is named wins, then the cluster that this runs in, then the default
//! file.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::access::AccessOptions;
use super::errors::AccessError;

/// Where the token of a pod's service account is mounted.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Kubeconfig files, merged as `kubectl` does.
    Files { files: Vec<PathBuf>, why: Why },
    /// The cluster that this runs in.
    Inside,
}

/// Why it is these files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Named by an option or the configuration.
    Named,
    /// Named by the environment.
    Variable,
    /// Nothing else was there.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Files { files, why } = self else {
            return f.write_str("the service account of this pod");
        };
        for (at, file) in files.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}", file.display())?;
        }
        match why {
            Why::Named => Ok(()),
            Why::Variable => f.write_str(" (KUBECONFIG)"),
            Why::Default => f.write_str(" (the default file)"),
        }
    }
}

/// Chooses. `variable` reads the environment, `exists` the file system.
pub(super) fn choose(
    options: &AccessOptions,
    variable: &dyn Fn(&str) -> Option<OsString>,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<Source, AccessError> {
    if let Some(file) = &options.kubeconfig {
        return existing(std::slice::from_ref(file), Why::Named, exists);
    }
    let named: Vec<PathBuf> = variable("KUBECONFIG")
        .map(|value| {
            let paths = std::env::split_paths(&value);
            paths.filter(|path| !path.as_os_str().is_empty()).collect()
        })
        .unwrap_or_default();
    if !named.is_empty() {
        return existing(&named, Why::Variable, exists);
    }
    let inside = variable("KUBERNETES_SERVICE_HOST").is_some() && exists(Path::new(TOKEN));
    if inside && options.context.is_none() {
        return Ok(Source::Inside);
    }
    let home = variable("HOME").or_else(|| variable("USERPROFILE"));
    let default = home.map(|home| Path::new(&home).join(".kube").join("config"));
    match default.filter(|file| exists(file)) {
        Some(file) => existing(&[file], Why::Default, exists),
        None => Err(AccessError::Nothing),
    }
}

/// As `kubectl`: of several files some may be missing, but not all.
fn existing(
    files: &[PathBuf],
    why: Why,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<Source, AccessError> {
    let missing = || {
        let names: Vec<_> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        AccessError::Missing(names.join(", "))
    };
    let there: Vec<PathBuf> = files.iter().filter(|file| exists(file)).cloned().collect();
    if there.is_empty() {
        return Err(missing());
    }
    Ok(Source::Files { files: there, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    /// A machine: its environment, and the files that it has.
    fn chosen(
        options: &AccessOptions,
        environment: &[(&str, &str)],
        files: &[&str],
    ) -> Result<String, AccessError> {
        let variable = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let exists = |path: &Path| files.iter().any(|file| Path::new(file) == path);
        choose(options, &variable, &exists).map(|source| source.to_string())
    }

    const POD: &[(&str, &str)] = &[("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("HOME", "/h")];

    #[test]
    fn what_is_named_wins_then_the_own_cluster_then_the_default_file() {
        let all = ["/named", "/variable", TOKEN, "/h/.kube/config"];
        let named = AccessOptions {
            kubeconfig: Some("/named".into()),
            ..AccessOptions::default()
        };
        let mut everything = POD.to_vec();
        everything.push(("KUBECONFIG", "/variable"));
        let none = AccessOptions::default();
        assert_eq!(chosen(&named, &everything, &all).unwrap(), "/named");
        assert_eq!(
            chosen(&none, &everything, &all).unwrap(),
            "/variable (KUBECONFIG)"
        );
        assert_eq!(
            chosen(&none, POD, &all).unwrap(),
            "the service account of this pod"
        );
        assert_eq!(
            chosen(&none, POD, &all[3..]).unwrap(),
            "/h/.kube/config (the default file)"
        );
        let context = AccessOptions {
            context: Some("kind".into()),
            ..AccessOptions::default()
        };
        assert_eq!(
            chosen(&context, POD, &all).unwrap(),
            "/h/.kube/config (the default file)"
        );
    }

    #[test]
    fn of_several_files_some_may_be_missing_but_not_all() {
        let none = AccessOptions::default();
        let list = [("KUBECONFIG", "/a:/b:")];
        assert_eq!(chosen(&none, &list, &["/b"]).unwrap(), "/b (KUBECONFIG)");
        let error = Error::from(chosen(&none, &list, &[]).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("/a, /b"), "{error}");
        let error = Error::from(chosen(&none, &[("HOME", "/h")], &[]).unwrap_err());
        assert!(error.to_string().contains("--kubeconfig"), "{error}");
    }
}
