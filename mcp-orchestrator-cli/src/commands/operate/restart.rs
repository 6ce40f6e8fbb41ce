//! `restart`: restarts the running instances of a server.

use crate::args::{Output, ServerArgs};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::spinner::Spinner;

pub(crate) async fn run(args: &ServerArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let waiting = Spinner::on(&format!("restarting {}", args.server));
    let touched = site.told(site.client().restart(&args.server).await)?;
    drop(waiting);
    if form == Output::Json {
        output::json(&touched)?;
    } else if touched.instances.is_empty() {
        output::line(&format!(
            "{} is not running; it starts on the next call",
            args.server
        ))?;
    } else {
        output::line(&format!("restarted {}", touched.instances.join(", ")))?;
    }
    Ok(Exit::Done)
}
