//! Arguments of commands for tokens and credentials.

use clap::{Args, Subcommand};

use crate::complete;
use crate::site_args::SiteArgs;

#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Create a token and print it once, on standard output
    Create(TokenCreateArgs),
    /// List all tokens and when each was last used
    List(SiteArgs),
    /// Revoke a token
    Revoke {
        /// ID of the token, as shown by `list`
        id: String,
        #[command(flatten)]
        files: SiteArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct TokenCreateArgs {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Grant administrative access: install for everyone, create tokens, see all instances
    #[arg(long)]
    pub(crate) admin: bool,
    /// Restrict the token to this gateway
    #[arg(long, value_name = "NAME", add = complete::gateways())]
    pub(crate) gateway: Option<String>,
    /// Expire the token after this time, e.g. 90d or 12h; without it, the token is valid until revoked
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    pub(crate) expires: Option<std::time::Duration>,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

/// Principal of a token.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct SubjectArgs {
    /// Create the token for this user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Create the token for this team
    #[arg(long, value_name = "NAME")]
    pub(crate) team: Option<String>,
    /// Create the token for the organization
    #[arg(long)]
    pub(crate) organization: bool,
}

/// Parses a duration such as `90d`, `12h`, `30m` or `45s`.
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
    /// Name of the server
    #[arg(add = complete::servers())]
    pub(crate) server: String,
    /// Owner of the credential: me, team/NAME or organization
    #[arg(long, default_value = "me")]
    pub(crate) owner: String,
    /// Source of a slot's value: SLOT=env:VARIABLE, SLOT=file:PATH, or SLOT=- for standard input; other slots are
    /// prompted for on a terminal
    #[arg(long, value_name = "SLOT=SOURCE")]
    pub(crate) value: Vec<String>,
    /// Store the credential without testing it first
    #[arg(long)]
    pub(crate) unchecked: bool,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct OwnedArgs {
    /// Name of the server
    #[arg(add = complete::servers())]
    pub(crate) server: String,
    /// Owner of the credential: me, team/NAME or organization
    #[arg(long, default_value = "me")]
    pub(crate) owner: String,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}
