//! `completions`: prints a shell script that asks this program for completions, including names of the running gateway.

use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::complete::VARIABLE;
use crate::exit::{Exit, Failure};
use crate::output;

/// Name of the program on the command line.
const PROGRAM: &str = "mcp-orchestrator";

pub(super) fn run(shell: Shell) -> Result<Exit, Failure> {
    let shells = Shells::builtins();
    let shell = shell.to_string();
    let completer = shells
        .completer(&shell)
        .ok_or_else(|| Failure::failed(format!("there are no completions for {shell}")))?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(Failure::failed)?;
    output::raw(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Done)
}
