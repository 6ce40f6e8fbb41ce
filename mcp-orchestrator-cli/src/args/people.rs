//! Tokens and credentials, as typed.

use clap::{Args, Subcommand};

use super::SiteArgs;
use crate::complete;

#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Create a token; it is shown once, on standard output
    Create(TokenCreateArgs),
    /// List all tokens, and when each was last used
    List(SiteArgs),
    /// Revoke a token
    Revoke {
        /// The token's id, as `list` shows it
        id: String,
        #[command(flatten)]
        files: SiteArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct TokenCreateArgs {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Allow it to administer: install for everybody, create tokens, see all instances
    #[arg(long)]
    pub(crate) admin: bool,
    /// Allow only this gateway
    #[arg(long, value_name = "NAME", add = complete::gateways())]
    pub(crate) gateway: Option<String>,
    /// Expire it after this time, e.g. 90d or 12h; without this option it is valid until it is revoked
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    pub(crate) expires: Option<std::time::Duration>,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

/// For whom a token speaks.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct SubjectArgs {
    /// For this user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// For this team
    #[arg(long, value_name = "NAME")]
    pub(crate) team: Option<String>,
    /// For the organization
    #[arg(long)]
    pub(crate) organization: bool,
}

/// A time as `90d`, `12h`, `30m`, `45s`.
fn lifetime(text: &str) -> Result<std::time::Duration, String> {
    let unit = |text: &str| {
        let (number, seconds) = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]
            .into_iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
        number.parse::<u64>().ok()?.checked_mul(seconds)
    };
    let seconds = unit(text).filter(|seconds| *seconds > 0);
    let seconds = seconds.ok_or("a time is a number with d, h, m or s, e.g. 90d")?;
    Ok(std::time::Duration::from_secs(seconds))
}

#[derive(Args, Debug)]
pub(crate) struct InstallArgs {
    /// The server's name
    #[arg(add = complete::servers())]
    pub(crate) server: String,
    /// For whom: me, team/NAME or organization
    #[arg(long, default_value = "me")]
    pub(crate) owner: String,
    /// Where a slot's value comes from: SLOT=env:VARIABLE, SLOT=file:PATH, or SLOT=- for standard input; what is not named
    /// is asked for on a terminal
    #[arg(long, value_name = "SLOT=SOURCE")]
    pub(crate) value: Vec<String>,
    /// Store it without starting the server with it first
    #[arg(long)]
    pub(crate) unchecked: bool,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct OwnedArgs {
    /// The server's name
    #[arg(add = complete::servers())]
    pub(crate) server: String,
    /// For whom: me, team/NAME or organization
    #[arg(long, default_value = "me")]
    pub(crate) owner: String,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}
