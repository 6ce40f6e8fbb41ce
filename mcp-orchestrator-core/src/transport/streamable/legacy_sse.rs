//! HTTP+SSE of 2024-11-05: one stream of events from the server, and an address that it names for the way back.
//!
//! To the rest it is a pipe: each event is a line, each line is posted. The end of the stream is a lost session.

use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream,
};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Http;
use super::exchange::Exchange;
use super::heads::{Lines, Verb};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Exit;
use crate::transport::sse::{Event, Parser};

/// Bytes between the pipe and the stream.
const BUFFER: usize = 64 * 1024;

/// A stream that is open: its two ends as a pipe has them, and how it ends.
pub(crate) struct LegacySse {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
    pub(crate) ended: oneshot::Receiver<Exit>,
    /// Carries lines to and fro; ends with the pipe.
    pub(crate) tasks: JoinSet<()>,
}

impl Http {
    /// Opens the stream and waits until the server has named the address for the way back. The caller bounds the time.
    ///
    /// # Errors
    /// Where the server cannot be reached, offers no such stream, or names an address of another origin.
    pub(crate) async fn legacy_sse(self, uri: &Uri) -> Result<LegacySse> {
        let stream = self.exchange(Verb::Get, &[], &Lines::default()).await?;
        if !stream.head.status.is_success() || !stream.is_events() {
            let status = stream.head.status;
            stream.drain().await;
            let text = format!(
                "server {} offers no event stream (HTTP {})",
                self.place.server,
                status.as_u16()
            );
            return Err(self.placed(Error::new(ErrorKind::Protocol, text)));
        }
        let mut events = Events {
            stream,
            parser: Parser::new(self.message_bytes),
        };
        let named = loop {
            match events.next().await {
                Ok(Some(event)) if event.name == "endpoint" => break event.data,
                Ok(Some(_)) => {}
                Ok(None) => {
                    return Err(self.no_address("ended its stream before it named an address"));
                }
                Err(error) => return Err(self.placed(error)),
            }
        };
        let target = same_origin(uri, &named)
            .ok_or_else(|| self.no_address("names an address of another origin"))?;
        let heads = self.heads.at(&target.to_string());
        let back = Arc::new(Self { heads, ..self });
        Ok(carry(events, back))
    }

    fn no_address(&self, what: &str) -> Error {
        let text = format!("server {} {what} for messages", self.place.server);
        self.placed(Error::new(ErrorKind::Protocol, text))
    }
}

/// The path of an address that the server named; `None` where it is of another origin.
fn same_origin(uri: &Uri, named: &[u8]) -> Option<Uri> {
    let named = std::str::from_utf8(named).ok()?.trim();
    if named.starts_with("//") {
        return None;
    }
    if named.starts_with('/') {
        return named.parse().ok();
    }
    if !named.contains("://") {
        let folder = uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        return format!("{folder}/{named}").parse().ok();
    }
    let full: Uri = named.parse().ok()?;
    let port = |uri: &Uri| {
        uri.port_u16().or(match uri.scheme_str() {
            Some("https") => Some(443),
            _ => Some(80),
        })
    };
    let same = full.scheme_str() == uri.scheme_str()
        && full.host() == uri.host()
        && port(&full) == port(uri);
    full.path_and_query()
        .filter(|_| same)?
        .as_str()
        .parse()
        .ok()
}

fn carry(mut events: Events, back: Arc<Http>) -> LegacySse {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let (reader, writer) = tokio::io::split(ours);
    let (from_pipe, mut to_pipe) = tokio::io::split(theirs);
    let (ending, ended) = oneshot::channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let reason = loop {
            match events.next().await {
                Ok(Some(event)) if matches!(&event.name[..], "" | "message") => {
                    if write_line(&mut to_pipe, &event.data).await.is_err() {
                        break "the conversation is over".to_owned();
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break "its event stream ended".to_owned(),
                Err(error) => break format!("its event stream broke off: {error}"),
            }
        };
        // Nobody waits for it any more where the pipe went first.
        let _ = ending.send(Exit {
            reason,
            ..Exit::default()
        });
        // The other half goes on, so dropping this one would be heard by nobody: calls under way have to end.
        let _ = to_pipe.shutdown().await;
    });
    tasks.spawn(async move {
        let mut lines = BufReader::new(from_pipe).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            match back.exchange(Verb::Post, &line, &Lines::default()).await {
                Ok(exchange) => {
                    let status = exchange.head.status;
                    exchange.drain().await;
                    if !status.is_success() {
                        tracing::warn!(server = %back.place.server, status = status.as_u16(), "a message was not taken");
                    }
                }
                Err(error) => tracing::warn!(server = %back.place.server, %error, "a message was not taken"),
            }
        }
    });
    LegacySse {
        reader: Box::new(reader),
        writer: Box::new(writer),
        ended,
        tasks,
    }
}

async fn write_line(
    pipe: &mut tokio::io::WriteHalf<DuplexStream>,
    data: &Bytes,
) -> std::io::Result<()> {
    // Line breaks in JSON are white space between tokens.
    let mut line = data.to_vec();
    line.iter_mut()
        .filter(|b| matches!(b, b'\n' | b'\r'))
        .for_each(|b| *b = b' ');
    line.push(b'\n');
    pipe.write_all(&line).await
}

struct Events {
    stream: Exchange,
    parser: Parser,
}

impl Events {
    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            let event = self.parser.next();
            if let Some(event) =
                event.map_err(|error| Error::new(ErrorKind::Protocol, error.to_string()))?
            {
                return Ok(Some(event));
            }
            match self.stream.chunk().await? {
                Some(chunk) => self.parser.push(chunk),
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_with_the_origin() {
        let uri: Uri = "https://a.example/x/sse".parse().unwrap();
        for (named, path) in [
            ("/messages?s=1", Some("/messages?s=1")),
            ("messages?s=1", Some("/x/messages?s=1")),
            ("https://a.example:443/m", Some("/m")),
            ("https://a.example:444/m", None),
            ("http://a.example/m", None),
            ("https://b.example/m", None),
            ("//b.example/m", None),
        ] {
            let found = same_origin(&uri, named.as_bytes()).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), path, "{named}");
        }
    }
}
