//! `quickstart`: runs the gateway in a kind cluster if kind, Docker and kubectl are available, otherwise on this
//! machine.

mod kind;
mod manifests;

use std::path::{Path, PathBuf};

use mcp_orchestrator_core::config::{IfPresent, ServerEntry, TextOr, add_servers};
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_gateway::{demo_server, discover};

use self::kind::Kind;
use super::up;
use crate::args::{Place, QuickstartArgs};
use crate::exit::{Exit, Failure};
use crate::output;

/// Name of the configuration file that is created if none exists.
const NEW: &str = "mcp-orchestrator.yaml";

pub(crate) async fn run(mut args: QuickstartArgs) -> Result<Exit, Failure> {
    if args.gateway.files.config.len() > 1 {
        return Err(Failure::usage("quickstart takes one configuration file"));
    }
    let why = match args.place {
        Some(Place::Here) => "as you say".to_owned(),
        place => match (Kind::find().await, place) {
            (Ok(kind), _) => {
                kind.deploy(&args).await?;
                return Ok(Exit::Done);
            }
            (Err(missing), Some(_)) => return Err(Failure::failed(missing)),
            (Err(missing), None) => missing,
        },
    };
    output::note(&format!("{why}: the gateway runs on this machine"));
    if let Some(file) = file(&args)? {
        args.gateway.files.config = vec![file];
    }
    Box::pin(up::run(args.gateway)).await
}

/// Creates a configuration file and returns it, unless one is named or found.
fn file(args: &QuickstartArgs) -> Result<Option<PathBuf>, Failure> {
    if discover::config_files(&args.gateway.files.config).is_ok() {
        return Ok(None);
    }
    let file = PathBuf::from(NEW);
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("this program's own path: {error}")))?;
    let command = [
        program.display().to_string(),
        demo_server::ARGUMENT.to_owned(),
    ];
    let entry = ServerEntry {
        command: Some(TextOr::Other(command.map(Into::into).into())),
        ..ServerEntry::default()
    };
    let id = ServerId::new("hello").map_err(Failure::failed)?;
    add_servers(&file, &[(id, entry)], IfPresent::Refuse).map_err(Failure::usage)?;
    output::note(&format!("{NEW} was made, with a small server in it"));
    Ok(Some(file))
}

impl QuickstartArgs {
    /// Returns the gateway's image; defaults to the one of this version.
    fn image(&self) -> String {
        let ours = || {
            format!(
                "ghcr.io/mcp-orchestrator/gateway:{}",
                env!("CARGO_PKG_VERSION")
            )
        };
        self.image.clone().unwrap_or_else(ours)
    }

    /// Returns the configuration file named on the command line. A file that is only discovered is not deployed to a
    /// cluster.
    fn config(&self) -> Option<&Path> {
        self.gateway.files.config.first().map(PathBuf::as_path)
    }
}
