//! Installs a credential by signing in. The URL is printed, and the browser is redirected to a local port (RFC 8252).

use std::collections::BTreeMap;
use std::time::Duration;

use http::Uri;
use mcp_orchestrator_gateway::control::Client;
use mcp_orchestrator_gateway::control::wire::credentials::{InstallationText, SecretText};
use mcp_orchestrator_gateway::control::wire::sign_in::{FinishRequest, SignInRequest};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::connection::Site;
use crate::exit::Failure;
use crate::output;
use crate::spinner::Spinner;

/// Time for the user to sign in; the gateway keeps a pending sign-in equally long.
const SIGN_IN_TIMEOUT: Duration = Duration::from_mins(10);
/// Timeout for the request of a connection.
const REQUEST: Duration = Duration::from_secs(5);
/// Maximum length in bytes of a request's head.
const HEAD: usize = 16 << 10;
/// Path of the redirect URI.
const PATH: &str = "/callback";

/// The credential to install.
pub(crate) struct Wanted {
    pub(crate) server: String,
    pub(crate) owner: String,
    pub(crate) values: BTreeMap<String, SecretText>,
    /// The redirect URI that the server's client is registered with; `None` allows any.
    pub(crate) redirect_uri: Option<String>,
}

/// Redirect URI of the browser.
#[derive(Debug, PartialEq, Eq)]
struct Return {
    host: String,
    /// `None` means any free port.
    port: Option<u16>,
    path: String,
}

impl Return {
    /// Returns any local port, or the registered redirect URI if there is one.
    fn of(configured: Option<&str>) -> Result<Self, Failure> {
        let Some(configured) = configured else {
            return Ok(Self {
                host: "127.0.0.1".to_owned(),
                port: None,
                path: PATH.to_owned(),
            });
        };
        let uri = configured.parse::<Uri>().ok();
        let local = uri.filter(|uri| {
            let is_local = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
            is_local && uri.scheme_str() == Some("http")
        });
        let local = local.ok_or_else(|| {
            Failure::failed(format!(
                "the client of this server is registered for {configured} alone, which is not on this machine: sign in at \
                 the gateway's page instead"
            ))
        })?;
        Ok(Self {
            host: local.host().unwrap_or("localhost").to_owned(),
            port: local.port_u16(),
            path: local.path().to_owned(),
        })
    }

    async fn listener(&self) -> Result<TcpListener, Failure> {
        let address = match self.host.as_str() {
            "[::1]" => "::1",
            _ => "127.0.0.1",
        };
        let bound = TcpListener::bind((address, self.port.unwrap_or(0))).await;
        bound.map_err(|error| {
            Failure::failed(match self.port {
                None => format!("no port is free: {error}"),
                Some(port) => format!(
                    "port {port}, for which the client of this server is registered, cannot be used: {error}"
                ),
            })
        })
    }
}

/// Signs in and returns the new installation.
pub(crate) async fn sign_in(
    site: &Site,
    client: &Client,
    wanted: Wanted,
) -> Result<InstallationText, Failure> {
    let place = Return::of(wanted.redirect_uri.as_deref())?;
    let listener = place.listener().await?;
    let port = listener.local_addr();
    let port = port.map_err(|error| Failure::failed(format!("the port is gone: {error}")))?;
    let (host, port, path) = (&place.host, port.port(), &place.path);
    let server = wanted.server.clone();
    let request = SignInRequest {
        server: wanted.server,
        owner: wanted.owner,
        values: wanted.values,
        redirect_uri: format!("http://{host}:{port}{path}"),
    };
    let begun = site.told(client.begin_sign_in(&request).await)?;
    output::note("to sign in, open this address:");
    output::note(&begun.url);
    let waiting = Spinner::on("waiting for the browser to come back");
    let back = returned(&listener, path, begun.state.0.expose_secret());
    let back = tokio::time::timeout(SIGN_IN_TIMEOUT, back).await;
    let (mut stream, answer) =
        back.map_err(|_| Failure::failed("the sign-in was not completed within ten minutes"))??;
    waiting.say(&format!("trying {server}"));
    let finished = client.finish_sign_in(&answer).await;
    drop(waiting);
    let said = match &finished {
        Ok(_) => "You are signed in. You can close this page.",
        Err(_) => "That did not work. The terminal says why.",
    };
    page(&mut stream, 200, said).await;
    site.told(finished)
}

/// Waits for the redirect with the state of this sign-in. Answers any other request with 404.
async fn returned(
    listener: &TcpListener,
    path: &str,
    state: &str,
) -> Result<(TcpStream, FinishRequest), Failure> {
    loop {
        let accepted = listener.accept().await;
        let (mut stream, _) =
            accepted.map_err(|error| Failure::failed(format!("the port is gone: {error}")))?;
        let target = tokio::time::timeout(REQUEST, target(&mut stream)).await;
        let answer = target.ok().flatten().and_then(|target| read(&target, path));
        match answer {
            Some(answer) if answer.state.0.expose_secret() == state => return Ok((stream, answer)),
            _ => page(&mut stream, 404, "There is nothing here.").await,
        }
    }
}

/// Reads a request and returns its target.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut words = head.lines().next()?.split(' ');
    (words.next() == Some("GET")).then(|| words.next().map(str::to_owned))?
}

/// Parses the issuer's response from the target of a request.
fn read(target: &str, path: &str) -> Option<FinishRequest> {
    let query = target.strip_prefix(path)?.strip_prefix('?')?;
    let mut found: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let secret = |text: String| SecretText(text.into());
    Some(FinishRequest {
        state: secret(found.remove("state")?),
        code: found.remove("code").map(secret),
        iss: found.remove("iss"),
        error: found.remove("error"),
    })
}

/// Responds with a page of one sentence.
async fn page(stream: &mut TcpStream, status: u16, text: &str) {
    let body = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>MCP Orchestrator</title><p>{text}</p>\n"
    );
    let head = format!(
        "HTTP/1.1 {status} Done\r\ncontent-type: text/html; charset=utf-8\r\ncache-control: no-store\r\n\
         referrer-policy: no-referrer\r\ncontent-security-policy: default-src 'none'\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    // The result does not depend on whether the browser receives the page.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_response_is_parsed_from_the_query() {
        let answer = read(
            "/callback?code=a%2Bb&state=s&iss=https%3A%2F%2Fi.example&x=1",
            PATH,
        )
        .unwrap();
        assert_eq!(answer.state.0.expose_secret(), "s");
        assert_eq!(answer.code.unwrap().0.expose_secret(), "a+b");
        assert_eq!(answer.iss.as_deref(), Some("https://i.example"));
        let refused = read("/callback?error=access_denied&state=s", PATH).unwrap();
        assert_eq!(refused.error.as_deref(), Some("access_denied"));
        for other in [
            "/",
            "/callback",
            "/callback?code=x",
            "/favicon.ico",
            "/callbackx?state=s",
        ] {
            assert!(read(other, PATH).is_none(), "{other}");
        }
        assert!(read("/?state=s&code=c", "/").is_some());
    }

    #[test]
    fn redirect_target_follows_the_registered_redirect_uri() {
        for (configured, host, port, path) in [
            (None, "127.0.0.1", None, "/callback"),
            (
                Some("http://localhost:3118/callback"),
                "localhost",
                Some(3118),
                "/callback",
            ),
            (Some("http://localhost"), "localhost", None, "/"),
            (Some("http://[::1]:8080/a/b"), "[::1]", Some(8080), "/a/b"),
        ] {
            let place = Return::of(configured).ok().unwrap();
            let expected = (host.to_owned(), port, path.to_owned());
            assert_eq!((place.host, place.port, place.path), expected);
        }
        assert!(Return::of(Some("https://mcp.example.com/oauth/callback")).is_err());
    }
}
