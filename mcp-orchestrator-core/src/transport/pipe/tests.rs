//! Conversations with programs that ran before: output left from the previous conversation does no harm. Programs that
//! send more than their callers read.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf};
use tokio::sync::mpsc;

use super::{Ask, Opened, Options, Pipe};
use crate::call::{ReplyItem, own};
use crate::error::ErrorKind;
use crate::id::ServerId;
use crate::jsonrpc::{Members, Message, error_response, notification, response};
use crate::limits::{MAX_MESSAGE_MEMORY, MAX_QUEUED_LINES};
use crate::protocol::{Era, method};
use crate::runtime::Exit;
use crate::server::EraChoice;
use crate::transport::handshake::{Joined, Profile};
use crate::transport::{Hello, Outgoing, Place, Recheck};

/// The program's end of the pipe.
struct Program {
    lines: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    out: tokio::io::WriteHalf<DuplexStream>,
}

impl Program {
    async fn raw(&mut self) -> String {
        self.lines.next_line().await.unwrap().unwrap()
    }

    async fn next(&mut self) -> Message {
        own(Bytes::from(self.raw().await))
    }

    async fn say(&mut self, message: &[u8]) {
        self.out.write_all(message).await.unwrap();
        self.out.write_all(b"\n").await.unwrap();
    }

    async fn refuse(&mut self, id: &str) {
        let refusal = error_response(id, -32600, "already initialized", None);
        self.say(&refusal).await;
    }
}

fn pair() -> (DuplexStream, Program) {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (input, out) = tokio::io::split(theirs);
    let lines = BufReader::new(input).lines();
    (ours, Program { lines, out })
}

fn options(joined: Option<Joined>) -> Options {
    Options {
        place: Place {
            server: ServerId::new("git").unwrap(),
            instance: "mcp-git".into(),
        },
        era: EraChoice::Legacy,
        profile: Profile::plain(),
        message_bytes: 1 << 20,
        in_flight: 16,
        joined,
        ask: Ask::Nobody,
        note: Arc::new(|_, _| {}),
        inbox: mpsc::channel(1).0,
        exited: std::future::pending::<Exit>().boxed(),
        failed: None,
    }
}

async fn open(stream: DuplexStream, joined: Option<Joined>) -> Opened {
    let (reader, writer) = tokio::io::split(stream);
    Pipe::open(reader, writer, options(joined)).await.unwrap()
}

fn kept() -> Joined {
    let result = Bytes::from_static(br#"{"protocolVersion":"2025-06-18","capabilities":{}}"#);
    let kept = Hello {
        era: Era::Legacy,
        version: "2025-06-18".to_owned(),
        result,
    };
    Joined { kept: Some(kept) }
}

fn call() -> Message {
    let request = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"t"}}}"#;
    own(Bytes::from_static(request))
}

#[tokio::test]
async fn refused_second_handshake_reuses_the_kept_one() {
    let (stream, mut program) = pair();
    let play = async {
        assert_eq!(program.raw().await, "", "what stood half-written ends here");
        let initialize = program.next().await;
        assert_eq!(initialize.method(), method::INITIALIZE);
        program.refuse(initialize.id().unwrap()).await;
        program
    };
    let (opened, mut program) = tokio::join!(open(stream, Some(kept())), play);
    let Opened::Open(pipe) = opened else {
        panic!("what was kept is used");
    };
    assert_eq!(pipe.hello().version, "2025-06-18");
    let message = call();
    let outgoing = Outgoing::plain(&message, 1, Era::Legacy);
    let asked = pipe.request(&outgoing);
    let play = async {
        let request = program.next().await;
        assert_eq!(request.method(), "tools/call");
        let id: u64 = request.id().unwrap().parse().unwrap();
        assert!(id > 1 << 20, "no id that another conversation had: {id}");
        let params = request.body().and_then(Members::read).unwrap();
        let token = params.get("_meta").and_then(Members::read).unwrap();
        assert_eq!(token.get("progressToken"), Some(&*id.to_string()));
        // Responses to calls of the previous conversation.
        for old in ["1", "2", "7"] {
            program.say(&response(old, "{\"old\":true}")).await;
        }
        program.say(&response(&id.to_string(), "{}")).await;
    };
    let (reply, ()) = tokio::join!(asked, play);
    let answer = reply.unwrap().response().await.unwrap();
    assert_eq!((answer.id(), answer.body()), (Some("7"), Some("{}")));
}

#[tokio::test]
async fn refused_handshake_without_a_kept_one_is_unknown() {
    let (stream, mut program) = pair();
    let play = async {
        program.raw().await;
        let initialize = program.next().await;
        program.refuse(initialize.id().unwrap()).await;
    };
    let (opened, ()) = tokio::join!(open(stream, Some(Joined::default())), play);
    assert!(matches!(opened, Opened::Unknown(refused) if refused.kind() == ErrorKind::Protocol));
}

#[tokio::test]
async fn accepted_second_handshake_replaces_the_kept_one() {
    let (stream, mut program) = pair();
    let play = async {
        program.raw().await;
        let initialize = program.next().await;
        let result = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}}}"#;
        let answer = response(initialize.id().unwrap(), result);
        program.say(&answer).await;
        assert_eq!(program.next().await.method(), method::INITIALIZED);
    };
    let (opened, ()) = tokio::join!(open(stream, Some(kept())), play);
    assert!(matches!(opened, Opened::Open(pipe) if pipe.hello().version == "2025-11-25"));
}

#[tokio::test(start_paused = true)]
async fn lost_connection_fails_calls_in_flight_and_releases_both_ends() {
    let (stream, mut program) = pair();
    let (reader, writer) = tokio::io::split(stream);
    let (cut, is_cut) = tokio::sync::oneshot::channel::<()>();
    let reader = Cut {
        reader,
        cut: is_cut,
    };
    let play = async {
        program.raw().await;
        let initialize = program.next().await;
        program.refuse(initialize.id().unwrap()).await;
        program
    };
    let opened = Pipe::open(reader, writer, options(Some(kept())));
    let (opened, mut program) = tokio::join!(opened, play);
    let Opened::Open(pipe) = opened.unwrap() else {
        panic!("what was kept is used");
    };
    let play = async {
        program.next().await;
        drop(cut);
        // The writing end is released although the pipe still exists.
        assert!(program.lines.next_line().await.unwrap().is_none());
    };
    let message = call();
    let outgoing = Outgoing::plain(&message, 1, Era::Legacy);
    let (reply, ()) = tokio::join!(pipe.request(&outgoing), play);
    let error = reply.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("connection to server git was lost: torn"),
        "{text}"
    );
    assert!(pipe.closed().is_some());
}

/// A reader that fails once it is cut.
struct Cut<R> {
    reader: R,
    cut: tokio::sync::oneshot::Receiver<()>,
}

impl<R: tokio::io::AsyncRead + Unpin> tokio::io::AsyncRead for Cut<R> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        if self.cut.poll_unpin(cx).is_ready() {
            return std::task::Poll::Ready(Err(std::io::Error::other("torn")));
        }
        std::pin::Pin::new(&mut self.reader).poll_read(cx, buffer)
    }
}

#[tokio::test]
async fn large_messages_that_a_caller_does_not_read_are_limited() {
    const LARGE: usize = 5 << 20;
    const FIT: usize = 2;
    let (stream, mut program) = pair();
    let (reader, writer) = tokio::io::split(stream);
    let options = Options {
        message_bytes: 2 * LARGE,
        ..options(Some(kept()))
    };
    let play = async {
        program.raw().await;
        let initialize = program.next().await;
        program.refuse(initialize.id().unwrap()).await;
        program
    };
    let (opened, mut program) = tokio::join!(Pipe::open(reader, writer, options), play);
    let Opened::Open(pipe) = opened.unwrap() else {
        panic!("what was kept is used");
    };
    let message = call();
    let outgoing = Outgoing::plain(&message, 1, Era::Legacy);
    let text = "x".repeat(LARGE);
    // Other calls have nearly all of the memory.
    let others = MAX_MESSAGE_MEMORY - (FIT * LARGE + LARGE / 2);
    let _others = pipe.shared.memory.share(others).unwrap();
    let flood = async {
        let id = program.next().await.id().unwrap().to_owned();
        let params = format!(r#"{{"progressToken":{id},"progress":1,"message":"{text}"}}"#);
        let progress = notification(method::PROGRESS, Some(&params));
        for _ in 0..2 * FIT {
            program.say(&progress).await;
        }
        id
    };
    let (unread, id) = tokio::join!(pipe.request(&outgoing), flood);
    let mut unread = unread.unwrap();
    let large = format!("\"{text}\"");
    let mut ask = async |result: &str| {
        let answer = async {
            let id = program.next().await.id().unwrap().to_owned();
            program.say(&response(&id, result)).await;
        };
        let (reply, ()) = tokio::join!(pipe.request(&outgoing), answer);
        reply
    };
    let refused = ask(&large).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    ask("{}").await.unwrap();
    // The notifications that fit arrive, and reading them makes room.
    for _ in 0..FIT {
        assert!(unread.next().await.is_some());
    }
    ask(&large).await.unwrap();
    program.say(&response(&id, "{}")).await;
    let last = unread.next().await;
    assert!(matches!(last, Some(ReplyItem::Response(_))), "{last:?}");
}

/// A request that is never authorized again.
struct Stuck;

impl Recheck for Stuck {
    fn is_stale(&self) -> bool {
        true
    }

    fn judge(&self) -> BoxFuture<'_, crate::Result<()>> {
        std::future::pending().boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_their_authorization_do_not_block_the_queue() {
    let (stream, mut program) = pair();
    let (reader, writer) = tokio::io::split(stream);
    let options = Options {
        in_flight: 2 * MAX_QUEUED_LINES,
        ..options(Some(kept()))
    };
    let play = async {
        program.raw().await;
        let initialize = program.next().await;
        program.refuse(initialize.id().unwrap()).await;
        program
    };
    let (opened, mut program) = tokio::join!(Pipe::open(reader, writer, options), play);
    let Opened::Open(pipe) = opened.unwrap() else {
        panic!("what was kept is used");
    };
    let message = call();
    let outgoing = Outgoing::plain(&message, 1, Era::Legacy);
    let stuck = Outgoing {
        check: Some(&Stuck),
        ..Outgoing::plain(&message, 1, Era::Legacy)
    };
    let waiting = join_all((0..=MAX_QUEUED_LINES).map(|_| pipe.request(&stuck)));
    let asked = async {
        let answer = async {
            let id = program.next().await.id().unwrap().to_owned();
            program.say(&response(&id, "{}")).await;
        };
        tokio::join!(pipe.request(&outgoing), answer).0
    };
    let asked = tokio::time::timeout(std::time::Duration::from_secs(60), asked);
    tokio::select! {
        biased;
        _ = waiting => panic!("they are not authorized"),
        reply = asked => drop(reply.expect("a response").unwrap()),
    }
}
