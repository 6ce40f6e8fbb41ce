//! The writer task: batches of lines, cancellations, and answers to the instance's own requests.

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::protocol::method;
use crate::transport::Place;

/// Something to write.
pub(super) enum Command {
    /// A line including its line end.
    Line(Bytes),
    /// A line that is not ready yet: the answer to a request of the instance.
    Later(BoxFuture<'static, Bytes>),
}

/// Lines are batched up to this many bytes.
const BATCH: usize = 64 * 1024;

pub(super) async fn run(
    mut writer: impl AsyncWrite + Unpin,
    mut commands: mpsc::Receiver<Command>,
    mut abandoned: mpsc::Receiver<u64>,
    place: Place,
    over: CancellationToken,
) {
    let mut later: FuturesUnordered<BoxFuture<'static, Bytes>> = FuturesUnordered::new();
    let mut batch = BytesMut::new();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Line(line)) => batch.put(line),
                Some(Command::Later(answer)) => later.push(answer),
                None => return,
            },
            Some(answer) = later.next() => put_line(&mut batch, &answer),
            Some(id) = abandoned.recv() => put_line(&mut batch, &cancellation(id)),
            () = over.cancelled() => return,
        }
        while batch.len() < BATCH {
            match commands.try_recv() {
                Ok(Command::Line(line)) => batch.put(line),
                Ok(Command::Later(answer)) => later.push(answer),
                Err(_) => break,
            }
        }
        if batch.is_empty() {
            continue;
        }
        let flushed = tokio::select! {
            flushed = flush(&mut writer, &mut batch) => flushed,
            () = over.cancelled() => return,
        };
        if let Err(error) = flushed {
            tracing::debug!(instance = %place.instance, %error, "the instance reads no more");
            // The reader fails the calls once it knows the reason.
            commands.close();
            return;
        }
    }
}

fn put_line(batch: &mut BytesMut, message: &[u8]) {
    batch.put_slice(message);
    batch.put_u8(b'\n');
}

async fn flush(
    writer: &mut (impl AsyncWrite + Unpin),
    batch: &mut BytesMut,
) -> std::io::Result<()> {
    writer.write_all(batch).await?;
    writer.flush().await?;
    if batch.capacity() > 4 * BATCH {
        *batch = BytesMut::new();
    } else {
        batch.clear();
    }
    Ok(())
}

/// Builds the cancellation of the request with this id.
fn cancellation(id: u64) -> Bytes {
    let params = format!("{{\"requestId\":{id},\"reason\":\"the caller left\"}}");
    crate::jsonrpc::notification(method::CANCELLED, Some(&params))
}
