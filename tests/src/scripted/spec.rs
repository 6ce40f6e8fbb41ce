//! Specs of servers that run the scripted program.

use std::path::PathBuf;

use mcp_orchestrator_core::server::ServerSpec;

use crate::gateway::server_id;

/// Returns the path of a program of this workspace that was built beside the running test.
///
/// # Panics
/// If the path of the test is unknown.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let mut folder = test.parent().expect("a program stands in a folder");
    if folder.ends_with("deps") {
        folder = folder.parent().expect("deps stands in a folder");
    }
    folder.join(name)
}

/// Returns a spec of the scripted server as a child process with these arguments.
pub fn scripted(name: &str, args: &[&str]) -> ServerSpec {
    let path = program("scripted-server");
    let mut spec = ServerSpec::command(
        server_id(name),
        path.to_string_lossy(),
        args.iter().map(|arg| (*arg).to_owned()),
    );
    spec.limits.stop_grace = std::time::Duration::from_millis(500);
    spec
}
