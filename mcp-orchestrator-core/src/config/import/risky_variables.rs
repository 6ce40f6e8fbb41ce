//! Environment variables that can make a program run other code, or communicate with another party.

const LOADERS: &[&str] = &[
    "BASH_ENV",
    "BASHOPTS",
    "BROWSER",
    "BUN_OPTIONS",
    "CDPATH",
    "CLASSPATH",
    "DOCKER_HOST",
    "DOTNET_ADDITIONAL_DEPS",
    "DOTNET_SHARED_STORE",
    "DOTNET_STARTUP_HOOKS",
    "EDITOR",
    "ELIXIR_ERL_OPTIONS",
    "ENV",
    "ERL_AFLAGS",
    "ERL_FLAGS",
    "ERL_ZFLAGS",
    "GCONV_PATH",
    "GEM_HOME",
    "GEM_PATH",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LOCPATH",
    "LUA_CPATH",
    "LUA_INIT",
    "LUA_PATH",
    "NLSPATH",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_REPL_EXTERNAL_MODULE",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PAGER",
    "PATH",
    "PATHEXT",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PROMPT_COMMAND",
    "PS4",
    "RUBYLIB",
    "RUBYOPT",
    "RUBYSHELL",
    "RUSTC_WRAPPER",
    "R_PROFILE",
    "R_PROFILE_USER",
    "SHELL",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "VISUAL",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// Prefixes of names, in capitals.
const FAMILIES: &[&str] = &[
    "LD_",
    "DYLD_",
    "BASH_FUNC_",
    "COMPLUS_",
    "CORECLR_",
    "COR_",
    "GIT_",
    "NPM_CONFIG_",
    "PIP_",
    "UV_",
    "PIPX_",
    "YARN_",
    "PNPM_",
    "PYTHON",
];

/// Names with such a prefix that do not change which code runs.
const HARMLESS: &[&str] = &[
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONFAULTHANDLER",
    "PYTHONHASHSEED",
    "PYTHONIOENCODING",
    "PYTHONUNBUFFERED",
    "PYTHONUTF8",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_TOKEN",
    "GIT_USERNAME",
    "GIT_PASSWORD",
    "GIT_REPO",
    "GIT_BRANCH",
    "GIT_PAT",
    "GIT_URL",
];

/// Names that people commonly set in their own files.
const MILD: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "SHELL",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "PYTHONPATH",
    "DOCKER_HOST",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "BROWSER",
    "EDITOR",
    "PATHEXT",
];

/// Prefixes of names that people commonly set in their own files.
const MILD_FAMILIES: &[&str] = &[
    "NPM_CONFIG_",
    "PIP_",
    "UV_",
    "YARN_",
    "PNPM_",
    "PIPX_",
    "GIT_",
];

/// Returns `true` if a variable of this name can make a program run other code, or communicate with another party.
pub(crate) fn is_loader(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let family = FAMILIES.iter().any(|family| name.starts_with(family));
    LOADERS.contains(&name.as_str()) || (family && !HARMLESS.contains(&name.as_str()))
}

/// Returns `true` if people commonly set this variable themselves.
pub(crate) fn is_mild(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let dangerous = [
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_EXEC_PATH",
        "GIT_ASKPASS",
        "GIT_EXTERNAL_DIFF",
        "GIT_PROXY_COMMAND",
    ];
    let family = MILD_FAMILIES.iter().any(|family| name.starts_with(family));
    MILD.contains(&name.as_str())
        || (family && !dangerous.contains(&name.as_str()) && !name.starts_with("GIT_CONFIG"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loader_variables_are_recognized_in_any_case() {
        for name in [
            "NODE_OPTIONS",
            "LD_PRELOAD",
            "LD_AUDIT",
            "DYLD_INSERT_LIBRARIES",
            "PATH",
            "Path",
            "BASH_ENV",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "npm_config_registry",
            "GIT_SSH_COMMAND",
            "https_proxy",
            "DOTNET_STARTUP_HOOKS",
        ] {
            assert!(is_loader(name), "{name}");
        }
        for name in [
            "API_KEY",
            "PYTHONUNBUFFERED",
            "GIT_TOKEN",
            "MODE",
            "LDAP_URL",
            "ENVIRONMENT",
        ] {
            assert!(!is_loader(name), "{name}");
        }
    }
}
