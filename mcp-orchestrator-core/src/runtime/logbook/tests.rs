//! Tests of the log book.

use futures_util::TryStreamExt as _;

use super::*;
use crate::credential::{Owner, Revision};
use crate::id::ServerId;
use crate::runtime::{Scope, SpecDigest};

fn key(name: &str) -> InstanceKey {
    InstanceKey::new(
        ServerId::new(name).unwrap(),
        Owner::Organization,
        Revision::none(),
        Scope::Shared,
        SpecDigest::from_text("0"),
    )
}

async fn texts(book: &LogBook, name: &str, options: LogOptions) -> Vec<String> {
    let lines = book.read(&key(name), &options).unwrap();
    lines.map_ok(|line| line.text).try_collect().await.unwrap()
}

#[tokio::test]
async fn every_dimension_is_bounded() {
    let book = LogBook::new(LogLimits {
        instances: 2,
        lines: 3,
        bytes: 40,
        line: 20,
    });
    for number in 0..9 {
        book.note(&key("a"), LogSource::Stderr, &format!("line {number}"));
    }
    let all = LogOptions::default();
    assert_eq!(
        texts(&book, "a", all.clone()).await,
        ["line 6", "line 7", "line 8"]
    );
    book.note(&key("a"), LogSource::Stderr, &"ä".repeat(50));
    let kept = texts(&book, "a", all.clone()).await;
    assert_eq!(kept.last().unwrap(), "ääääääääää… (80 bytes cut)");
    book.note(&key("b"), LogSource::Stderr, "b");
    book.note(&key("c"), LogSource::Stderr, "c");
    let gone = book.read(&key("a"), &all).err().unwrap();
    assert_eq!(gone.kind(), ErrorKind::NoRoute);
}

#[tokio::test]
async fn log_of_the_previous_run_stays_readable() {
    let book = LogBook::default();
    book.begin(&key("a"));
    book.note(&key("a"), LogSource::Stderr, "first");
    book.begin(&key("a"));
    book.note(&key("a"), LogSource::Stderr, "second");
    book.note(&key("a"), LogSource::Orchestrator, "remark");
    let previous = LogOptions {
        previous: true,
        ..LogOptions::default()
    };
    assert_eq!(texts(&book, "a", previous).await, ["first"]);
    assert_eq!(book.tail(&key("a"), 5), ["second"]);
}

#[tokio::test]
async fn follower_sees_each_line_or_the_number_missed() {
    let book = LogBook::new(LogLimits {
        lines: 2,
        ..LogLimits::default()
    });
    book.note(&key("a"), LogSource::Stderr, "0");
    let options = LogOptions {
        follow: true,
        tail: Some(1),
        ..LogOptions::default()
    };
    let mut lines = book.read(&key("a"), &options).unwrap();
    assert_eq!(lines.next().await.unwrap().unwrap().text, "0");
    book.note(&key("a"), LogSource::Stderr, "1");
    assert_eq!(lines.next().await.unwrap().unwrap().text, "1");
    for number in 2..6 {
        book.note(&key("a"), LogSource::Stderr, &number.to_string());
    }
    book.forget(&key("a"));
    let rest: Vec<String> = lines.map_ok(|line| line.text).try_collect().await.unwrap();
    assert_eq!(rest, ["2 lines are left out here", "4", "5"]);
}
