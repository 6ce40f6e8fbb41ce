//! `token`: creates, lists and revokes access tokens.

use mcp_orchestrator_gateway::control::wire::credentials::{TokenRequest, TokenText};
use secrecy::ExposeSecret as _;

use crate::args::{Output, TokenArgs, TokenCommand, TokenCreateArgs};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) async fn run(args: TokenArgs, form: Output) -> Result<Exit, Failure> {
    match args.command {
        TokenCommand::Create(args) => create(args, form).await,
        TokenCommand::List(files) => list(&Site::find(&files)?, form).await,
        TokenCommand::Revoke { id, files } => revoke(&Site::find(&files)?, &id, form).await,
    }
}

async fn create(args: TokenCreateArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let subject = match (&args.subject.user, &args.subject.team) {
        (Some(user), _) => format!("user/{user}"),
        (None, Some(team)) => format!("team/{team}"),
        (None, None) => "organization".to_owned(),
    };
    let request = TokenRequest {
        subject,
        admin: args.admin,
        gateway: args.gateway,
        expires_in: args.expires.map(|span| span.as_secs()),
    };
    let made = site.told(site.client().make_token(&request).await)?;
    if form == Output::Json {
        output::json(&made)?;
        return Ok(Exit::Done);
    }
    for warning in &made.warnings {
        output::note(&format!("warning: {warning}"));
    }
    // Print only the token to standard output, so that it can be redirected to a file or assigned to a variable.
    output::line(made.token.0.expose_secret())?;
    let ends = made
        .info
        .expires_at
        .map_or_else(String::new, |at| format!(", expires {at}"));
    output::note(&format!(
        "token {} for {}{ends}. Copy it now: it will not be shown again.",
        made.info.id, made.info.subject
    ));
    Ok(Exit::Done)
}

async fn list(site: &Site, form: Output) -> Result<Exit, Failure> {
    let known = site.told(site.client().tokens().await)?;
    if form == Output::Json {
        output::json(&known.tokens)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 6]> = known.tokens.iter().map(row).collect();
    let head = ["ID", "FOR", "RIGHTS", "CREATED", "EXPIRES", "LAST USED"];
    output::table(head, &rows, "no tokens")?;
    Ok(Exit::Done)
}

fn row(token: &TokenText) -> [String; 6] {
    let mut rights = vec![match &token.gateway {
        Some(gateway) => format!("gateway {gateway}"),
        None => "all gateways".to_owned(),
    }];
    rights.extend(token.admin.then(|| "admin".to_owned()));
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        token.id.clone(),
        token.subject.clone(),
        rights.join(", "),
        token.created_at.clone(),
        or_dash(&token.expires_at),
        or_dash(&token.last_used),
    ]
}

async fn revoke(site: &Site, id: &str, form: Output) -> Result<Exit, Failure> {
    let revoked = site.told(site.client().revoke_token(id).await)?;
    if form == Output::Json {
        output::json(&revoked)?;
    } else {
        output::line(&format!("revoked {} of {}", revoked.id, revoked.subject))?;
    }
    Ok(Exit::Done)
}
