//! `stop`: stops the instances of a server until the next call.

use crate::args::{Output, ServerArgs};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::spinner::Spinner;

pub(crate) async fn run(args: &ServerArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let waiting = Spinner::on(&format!("stopping {}", args.server));
    let touched = site.told(site.client().stop(&args.server).await)?;
    drop(waiting);
    if form == Output::Json {
        output::json(&touched)?;
    } else if touched.instances.is_empty() {
        output::line(&format!("{} is not running", args.server))?;
    } else {
        let names = touched.instances.join(", ");
        output::line(&format!("stopped {names}: the next call starts it again"))?;
    }
    Ok(Exit::Done)
}
