//! Selects the configuration for the cluster: an explicit choice wins, then the pod's service account, then the
//! default kubeconfig.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::errors::AccessError;

/// Explicit choices; everything else is inferred.
#[derive(Clone, Debug, Default)]
pub struct AccessOptions {
    /// The kubeconfig file. Default: the files of `KUBECONFIG`, else the service account of this pod, else
    /// `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The context. Default: the current context of the kubeconfig. Naming one rules out the pod's service account,
    /// which has no contexts.
    pub context: Option<String>,
    /// The namespace. Default: that of the context, or of this pod.
    pub namespace: Option<String>,
}

/// Mount path of a pod's service account token.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The selected source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Kubeconfig files, merged as `kubectl` does.
    Files {
        files: Vec<PathBuf>,
        why: SelectionReason,
    },
    /// The service account of this pod.
    Inside,
}

/// Why these files were selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SelectionReason {
    /// By an option or the configuration.
    Named,
    /// By the environment variable `KUBECONFIG`.
    Variable,
    /// By default, because there is no other source.
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
            SelectionReason::Named => Ok(()),
            SelectionReason::Variable => f.write_str(" (KUBECONFIG)"),
            SelectionReason::Default => f.write_str(" (the default file)"),
        }
    }
}

/// Selects the source. `variable` reads the environment, `exists` checks the file system.
pub(crate) fn infer(
    options: &AccessOptions,
    variable: &dyn Fn(&str) -> Option<OsString>,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<Source, AccessError> {
    if let Some(file) = &options.kubeconfig {
        return existing(std::slice::from_ref(file), SelectionReason::Named, exists);
    }
    let named: Vec<PathBuf> = variable("KUBECONFIG")
        .map(|value| {
            let paths = std::env::split_paths(&value);
            paths.filter(|path| !path.as_os_str().is_empty()).collect()
        })
        .unwrap_or_default();
    if !named.is_empty() {
        return existing(&named, SelectionReason::Variable, exists);
    }
    let inside =
        variable("KUBERNETES_SERVICE_HOST").is_some() && exists(Path::new(SERVICE_ACCOUNT_TOKEN));
    if inside && options.context.is_none() {
        return Ok(Source::Inside);
    }
    let home = variable("HOME").or_else(|| variable("USERPROFILE"));
    let default = home.map(|home| Path::new(&home).join(".kube").join("config"));
    match default.filter(|file| exists(file)) {
        Some(file) => existing(&[file], SelectionReason::Default, exists),
        None => Err(AccessError::Nothing),
    }
}

/// Drops missing files, as `kubectl` does; fails if all of them are missing.
fn existing(
    files: &[PathBuf],
    why: SelectionReason,
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

    /// Chooses on a machine with this environment and these files.
    fn inferred(
        options: &AccessOptions,
        environment: &[(&str, &str)],
        files: &[&str],
    ) -> Result<String, AccessError> {
        let variable = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let exists = |path: &Path| files.iter().any(|file| Path::new(file) == path);
        infer(options, &variable, &exists).map(|source| source.to_string())
    }

    const POD: &[(&str, &str)] = &[("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("HOME", "/h")];

    #[test]
    fn explicit_kubeconfig_precedes_in_cluster_and_default_config() {
        let all = [
            "/named",
            "/variable",
            SERVICE_ACCOUNT_TOKEN,
            "/h/.kube/config",
        ];
        let named = AccessOptions {
            kubeconfig: Some("/named".into()),
            ..AccessOptions::default()
        };
        let mut everything = POD.to_vec();
        everything.push(("KUBECONFIG", "/variable"));
        let none = AccessOptions::default();
        assert_eq!(inferred(&named, &everything, &all).unwrap(), "/named");
        assert_eq!(
            inferred(&none, &everything, &all).unwrap(),
            "/variable (KUBECONFIG)"
        );
        assert_eq!(
            inferred(&none, POD, &all).unwrap(),
            "the service account of this pod"
        );
        assert_eq!(
            inferred(&none, POD, &all[3..]).unwrap(),
            "/h/.kube/config (the default file)"
        );
        let context = AccessOptions {
            context: Some("kind".into()),
            ..AccessOptions::default()
        };
        assert_eq!(
            inferred(&context, POD, &all).unwrap(),
            "/h/.kube/config (the default file)"
        );
    }

    #[test]
    fn some_but_not_all_kubeconfig_files_may_be_missing() {
        let none = AccessOptions::default();
        let list = [("KUBECONFIG", "/a:/b:")];
        assert_eq!(inferred(&none, &list, &["/b"]).unwrap(), "/b (KUBECONFIG)");
        let error = Error::from(inferred(&none, &list, &[]).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("/a, /b"), "{error}");
        let error = Error::from(inferred(&none, &[("HOME", "/h")], &[]).unwrap_err());
        assert!(error.to_string().contains("--kubeconfig"), "{error}");
    }
}
