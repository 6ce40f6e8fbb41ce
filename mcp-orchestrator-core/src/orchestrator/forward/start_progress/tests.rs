use futures_util::future::pending;
use serde_json::Value;
use tokio::sync::oneshot;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::jsonrpc::response;
use crate::runtime::Progress;

fn token() -> Bytes {
    Bytes::from_static(b"\"t\"")
}

async fn params(reply: &mut Reply) -> Value {
    match reply.next().await {
        Some(ReplyItem::Notification(message)) => {
            assert_eq!(message.method(), method::PROGRESS);
            serde_json::from_str(message.body().unwrap()).unwrap()
        }
        other => panic!("a notification is expected, not {other:?}"),
    }
}

fn progress(step: &str) -> ReplyItem {
    let params = format!("{{\"progressToken\":\"t\",\"progress\":{step},\"x\":[1]}}");
    ReplyItem::Notification(own(notification(method::PROGRESS, Some(&params))))
}

#[tokio::test(start_paused = true)]
async fn start_messages_precede_the_result_with_increasing_progress() {
    let (told, words) = Progress::channel();
    let (answer, answered) = oneshot::channel::<Reply>();
    let coming = async { Ok(answered.await.expect("it is answered")) };
    let telling = tell(coming.boxed(), words, token());
    told.report("pulling image");
    let mut reply = telling.await.unwrap();
    let first = params(&mut reply).await;
    assert_eq!(
        (&first["message"], &first["progressToken"]),
        (&"pulling image".into(), &"t".into())
    );
    told.report("skipped");
    told.report("shaking hands");
    let second = params(&mut reply).await;
    assert_eq!(second["message"], "shaking hands");
    let again = params(&mut reply).await;
    assert_eq!(again["message"], "shaking hands", "it is told again");
    let items = [
        progress("0"),
        progress("1"),
        ReplyItem::Response(own(response("1", "{}"))),
    ];
    assert!(
        answer
            .send(Reply::stream(stream::iter(items).boxed()))
            .is_ok()
    );
    let mut last = 0.0;
    for told in [
        first,
        second,
        again,
        params(&mut reply).await,
        params(&mut reply).await,
    ] {
        let now = told["progress"].as_f64().unwrap();
        assert!(now > last, "{now} after {last}");
        last = now;
    }
    assert!((last - 1.0).abs() < f64::EPSILON, "the server's own");
    assert!(matches!(reply.next().await, Some(ReplyItem::Response(_))));
    assert!(reply.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn start_messages_are_rate_limited() {
    let (told, words) = Progress::channel();
    told.report("0");
    let mut reply = tell(pending().boxed(), words, token()).await.unwrap();
    let begin = Instant::now();
    let changing = async {
        for n in 1..=1000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            told.report(&n.to_string());
        }
    };
    let mut heard = 0_u32;
    let hearing = async {
        loop {
            params(&mut reply).await;
            heard += 1;
        }
    };
    tokio::select! {
        () = changing => {}
        () = hearing => {}
    }
    let most = begin.elapsed().as_millis() / MIN_NOTICE_INTERVAL.as_millis() + 1;
    assert!(u128::from(heard) <= most && heard > 10, "{heard} of {most}");
}

#[tokio::test(start_paused = true)]
async fn fast_start_sends_no_messages() {
    let (told, words) = Progress::channel();
    told.report("shaking hands");
    let coming = async {
        tokio::time::sleep(START_NOTICE_AFTER / 2).await;
        Ok(Reply::ready(own(response("1", "{}"))))
    };
    let reply = tell(coming.boxed(), words, token()).await.unwrap();
    assert!(reply.into_ready().is_ok());
}

#[tokio::test(start_paused = true)]
async fn call_without_start_messages_is_answered_normally() {
    let (told, words) = Progress::channel();
    drop(told);
    let coming = async {
        tokio::time::sleep(START_NOTICE_AFTER * 2).await;
        Ok(Reply::ready(own(response("1", "{}"))))
    };
    let reply = tell(coming.boxed(), words, token()).await.unwrap();
    assert!(reply.into_ready().is_ok());
}

#[tokio::test(start_paused = true)]
async fn failed_start_ends_the_stream() {
    let (told, words) = Progress::channel();
    told.report("pulling image");
    let coming = async {
        tokio::time::sleep(START_NOTICE_AFTER * 2).await;
        Err(Error::new(ErrorKind::StartFailed, "no such image"))
    };
    let mut reply = tell(coming.boxed(), words, token()).await.unwrap();
    params(&mut reply).await;
    let Some(ReplyItem::Failed(error)) = reply.next().await else {
        panic!("it failed")
    };
    assert_eq!(error.kind(), ErrorKind::StartFailed);
    assert!(reply.next().await.is_none());
}
