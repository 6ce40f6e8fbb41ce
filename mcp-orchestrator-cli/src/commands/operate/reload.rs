//! `reload`: makes the running gateway reload its configuration, and reports the outcome. The gateway also reloads by
//! itself when a file changes.

use crate::args::Output;
use crate::commands::configure::check::place;
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::site_args::SiteArgs;

pub(crate) async fn run(args: &SiteArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(args)?;
    let reloaded = site.told(site.client().reload().await)?;
    if form == Output::Json {
        output::json(&reloaded)?;
        return Ok(Exit::Done);
    }
    for notice in &reloaded.notices {
        output::line(&format!("notice: {}", place(notice)))?;
    }
    let servers = output::count(reloaded.servers, "server");
    let verb = if reloaded.servers == 1 { "is" } else { "are" };
    output::line(&format!("{servers} {verb} configured now"))?;
    Ok(Exit::Done)
}
