//! `reload`: the running gateway reads its configuration again. It does so by itself when a file changes; this one waits
//! for the outcome and tells it.

use super::check::place;
use crate::args::{Output, SiteArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::site::Site;

pub(super) async fn run(args: &SiteArgs, form: Output) -> Result<Exit, Failure> {
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
