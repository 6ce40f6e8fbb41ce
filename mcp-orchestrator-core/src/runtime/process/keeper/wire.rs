//! The protocol between a backend and a keeper, over a Unix socket.
//!
//! The backend first sends an [`Order`] with the three standard streams of the program, then single [`Command`]
//! bytes. The keeper sends [`Report`]s of five bytes each.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Maximum size of an order, in bytes. The system's limit for arguments and environment is lower.
const MAX_ORDER_LEN: usize = 64 << 20;

/// The program that a keeper starts. It contains secrets, so there is no `Debug` implementation.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) program: OsString,
    pub(crate) name: OsString,
    /// The working directory; empty for that of the keeper.
    pub(crate) cwd: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) environment: BTreeMap<OsString, OsString>,
}

/// A command to a running keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Send SIGTERM to all descendants.
    Terminate,
    /// Send SIGKILL to all descendants.
    Kill,
}

/// A report of a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The program is running under this process ID.
    Started(i32),
    /// The program could not be started: the `errno`, or 0 if the error has no number.
    Failed(i32),
    /// The program has ended with this wait status.
    Ended(i32),
}

// === impl Order ===

impl Order {
    /// Sends the order with the standard input, output and error of the program.
    pub(super) fn send(&self, to: &UnixStream, streams: &[OwnedFd; 3]) -> io::Result<()> {
        let body = self.encode();
        let len = u32::try_from(body.len())
            .map_err(|_| io::Error::from(io::ErrorKind::ArgumentListTooLong))?
            .to_le_bytes();
        let fds = streams.each_ref().map(|fd| fd.as_fd());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        // Four bytes fit into an empty socket buffer, so they are sent as a whole.
        sendmsg(to, &[IoSlice::new(&len)], &mut control, SendFlags::NOSIGNAL)?;
        (&*to).write_all(&body)
    }

    /// Receives an order and the streams.
    pub(super) fn receive(from: &UnixStream) -> io::Result<(Self, [OwnedFd; 3])> {
        let mut len = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            from,
            &mut [IoSliceMut::new(&mut len)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let fds: Vec<OwnedFd> = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        let len = u32::from_le_bytes(len) as usize;
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        if received.bytes != 4 || len > MAX_ORDER_LEN {
            return Err(invalid());
        }
        let streams = fds.try_into().map_err(|_| invalid())?;
        let mut body = vec![0; len];
        (&*from).read_exact(&mut body)?;
        Ok((Self::decode(&body).ok_or_else(invalid)?, streams))
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut put = |text: &OsStr| {
            let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
            body.extend_from_slice(&len.to_le_bytes());
            body.extend_from_slice(text.as_bytes());
        };
        put(&self.program);
        put(&self.name);
        put(&self.cwd);
        put(OsStr::new(&self.args.len().to_string()));
        self.args.iter().for_each(|arg| put(arg));
        for (name, value) in &self.environment {
            put(name);
            put(value);
        }
        body
    }

    fn decode(mut body: &[u8]) -> Option<Self> {
        let mut take = || {
            let (len, rest) = body.split_first_chunk::<4>()?;
            let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            body = rest;
            Some(OsString::from_vec(text.to_vec()))
        };
        let mut order = Self {
            program: take()?,
            name: take()?,
            cwd: take()?,
            ..Self::default()
        };
        let args: usize = take()?.to_str()?.parse().ok()?;
        for _ in 0..args {
            order.args.push(take()?);
        }
        while let Some(name) = take() {
            order.environment.insert(name, take()?);
        }
        Some(order)
    }
}

// === impl Command ===

impl Command {
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Terminate => b'T',
            Self::Kill => b'K',
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Terminate, Self::Kill]
            .into_iter()
            .find(|command| command.byte() == byte)
    }
}

// === impl Report ===

impl Report {
    pub(super) fn encode(self) -> [u8; 5] {
        let (word, number) = match self {
            Self::Started(pid) => (b'P', pid),
            Self::Failed(errno) => (b'E', errno),
            Self::Ended(status) => (b'X', status),
        };
        let mut bytes = [word; 5];
        bytes[1..].copy_from_slice(&number.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: [u8; 5]) -> Option<Self> {
        let [word, number @ ..] = bytes;
        let number = i32::from_le_bytes(number);
        match word {
            b'P' => Some(Self::Started(number)),
            b'E' => Some(Self::Failed(number)),
            b'X' => Some(Self::Ended(number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_round_trips_over_the_socket() {
        let (one, other) = UnixStream::pair().unwrap();
        let order = Order {
            program: "/bin/sh".into(),
            name: "sh".into(),
            cwd: OsString::new(),
            args: vec![
                "-c".into(),
                "".into(),
                OsString::from_vec(vec![0xff, b'\n']),
            ],
            environment: [("A".into(), "x".repeat(100_000).into())].into(),
        };
        let streams = [(); 3].map(|()| std::fs::File::open("/dev/null").unwrap().into());
        let (sent, received) = std::thread::scope(|scope| {
            let sender = scope.spawn(|| order.send(&one, &streams));
            let received = Order::receive(&other).unwrap();
            (sender.join().unwrap(), received)
        });
        sent.unwrap();
        assert!(received.0 == order);
    }

    #[test]
    fn truncated_order_is_rejected() {
        let order = Order {
            program: "x".into(),
            args: vec!["y".into()],
            ..Order::default()
        };
        let body = order.encode();
        for end in 0..body.len() {
            assert!(Order::decode(&body[..end]).is_none_or(|read| read != order));
        }
    }

    #[test]
    fn reports_and_commands_round_trip() {
        for report in [Report::Started(7), Report::Failed(0), Report::Ended(-1)] {
            assert_eq!(Report::decode(report.encode()), Some(report));
        }
        for command in [Command::Terminate, Command::Kill] {
            assert_eq!(Command::from_byte(command.byte()), Some(command));
        }
    }
}
