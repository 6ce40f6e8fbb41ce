//! Reading an envelope and changing a message, at 64 bytes and at 100 KB.
#![expect(clippy::unwrap_used, reason = "a bench that cannot begin is to fail")]

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use mcp_orchestrator_core::jsonrpc::{Message, ParamsHead, Splice, quote, text};

const SIZES: [usize; 2] = [64, 100_000];

fn main() {
    divan::main();
}

fn request(size: usize) -> Bytes {
    let argument = quote(&"x".repeat(size));
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":17,\"method\":\"tools/call\",\"params\":\
         {{\"name\":\"server__echo\",\"arguments\":{{\"message\":{argument}}}}}}}"
    )
    .into()
}

#[divan::bench(args = SIZES)]
fn parse(bencher: Bencher<'_, '_>, size: usize) {
    let bytes = request(size);
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| Message::parse(black_box(bytes.clone())).unwrap());
}

#[divan::bench(args = SIZES)]
fn read_the_name(bencher: Bencher<'_, '_>, size: usize) {
    let message = Message::parse(request(size)).unwrap();
    bencher.bench_local(|| {
        let head = ParamsHead::read(black_box(&message).body()).unwrap();
        text(head.name.unwrap().get()).unwrap().len()
    });
}

/// Replaces the id and the name, as for every forwarded call.
#[divan::bench(args = SIZES)]
fn splice(bencher: Bencher<'_, '_>, size: usize) {
    let message = Message::parse(request(size)).unwrap();
    let name = memchr_name(message.bytes());
    bencher.bench_local(|| {
        let mut splice = Splice::new();
        splice.id(&message, Bytes::from_static(b"123456"));
        splice.replace(name.clone(), Bytes::from_static(b"\"echo\""));
        black_box(&message).spliced(&splice)
    });
}

/// Returns the position of the name.
fn memchr_name(bytes: &[u8]) -> std::ops::Range<usize> {
    let name = b"\"server__echo\"";
    let at = bytes
        .windows(name.len())
        .position(|part| part == name)
        .unwrap();
    at..at + name.len()
}
