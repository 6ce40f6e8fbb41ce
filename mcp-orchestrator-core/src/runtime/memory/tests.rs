use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::*;
use crate::id::ServerId;
use crate::runtime::LogSource;
use crate::server::ServerSpec;
use crate::testing::runtime::{Script, suite};

/// Plays the script that the server is named after.
async fn play(key: InstanceKey, pipe: BoxedIo, book: LogBook) -> Exit {
    let note = |text: &str| book.note(&key, LogSource::Stderr, text);
    match key.server().as_str() {
        "fail" => {
            note("first words");
            note("last words");
            return Exit::status(3);
        }
        "chatty" => (1..=100).for_each(|number| note(&format!("line {number}"))),
        _ => {}
    }
    let (reader, mut writer) = tokio::io::split(pipe);
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if writer
            .write_all(format!("{line}\n").as_bytes())
            .await
            .is_err()
        {
            break;
        }
    }
    if key.server().as_str() == "stubborn" {
        std::future::pending::<()>().await;
    }
    Exit::status(0)
}

pub(in crate::runtime) fn fixture(script: Script) -> Option<ServerSpec> {
    let name = match script {
        Script::Echo => "echo",
        Script::Fail => "fail",
        Script::Stubborn => "stubborn",
        Script::Chatty => "chatty",
        Script::ShowFile | Script::Http | Script::Missing => return None,
    };
    let id = ServerId::new(name).unwrap();
    Some(ServerSpec::command(id, name, [""; 0]))
}

/// Returns a backend that runs the scripts of [`fixture`].
pub(in crate::runtime) fn scripted() -> Arc<MemoryBackend> {
    let book = LogBook::default();
    let notes = book.clone();
    Arc::new(MemoryBackend::with_log_book(book, move |key, _, pipe| {
        play(key.clone(), pipe, notes.clone())
    }))
}

#[tokio::test]
async fn memory_backend_upholds_the_backend_contract() {
    suite(&*scripted(), &fixture).await;
}
