//! Errors of the local store: what failed, on which file, and how to fix it.

use std::io;

use crate::error::{Error, ErrorKind};

#[derive(Debug, thiserror::Error)]
pub(super) enum LocalError {
    #[error("credential store {0} is held by {1}: end it, or keep credentials in another folder")]
    Held(String, String),
    #[error("credential store {0} cannot be used")]
    Folder(String, #[source] io::Error),
    #[error(
        "credential store {0} is there, but its key, {1}, is not: put the key back, or move the store away to begin anew"
    )]
    KeyMissing(String, String),
    #[error(
        "the key of the credential store, {0}, may be read by others (mode {1:03o}): set it to 600"
    )]
    KeyOpen(String, u32),
    #[error(
        "{0} holds no key for the credential store: it must be 32 bytes as 64 hex digits or as base64, as `openssl rand -hex 32` prints"
    )]
    KeyForm(String),
    #[error("{0} did not return the key of the credential store: {1}")]
    KeyUntold(String, String),
    #[error("the key of the credential store cannot be read from {0}")]
    KeyUnread(String, #[source] io::Error),
    #[error(
        "credential store {0} is sealed under another key than that of {1}: nothing was changed"
    )]
    WrongKey(String, String),
    #[error(
        "credential store {0} has form {1}, which this program does not read: a newer one wrote it"
    )]
    Form(String, String),
    #[error("no room is left for credential store {0}: make room; what it has is kept")]
    Full(String, #[source] io::Error),
    #[error("credential store {0} failed")]
    Database(String, #[source] Box<redb::Error>),
    #[error("the stored {0} cannot be decrypted: the store was modified")]
    Unsealed(String),
    #[error("a look into credential store {0} was broken off")]
    BrokenOff(String),
}

impl From<LocalError> for Error {
    fn from(error: LocalError) -> Self {
        use LocalError as E;
        let kind = match &error {
            E::Held(..) => ErrorKind::Conflict,
            E::Full(..) | E::Database(..) => ErrorKind::Unavailable,
            E::Unsealed(_) | E::BrokenOff(_) => ErrorKind::Internal,
            _ => ErrorKind::Config,
        };
        let new = Self::new(kind, error.to_string());
        match error {
            E::Folder(_, source) | E::KeyUnread(_, source) | E::Full(_, source) => {
                new.with_source(source)
            }
            E::Database(_, source) => new.with_source(source),
            _ => new,
        }
    }
}

/// Why a transaction failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The database failed.
    Database(Box<redb::Error>),
    /// The operation was rejected.
    Refused(Error),
}

impl Failed {
    /// Returns `true` if the database must be reopened before it can be used again.
    pub(super) fn is_lasting(&self) -> bool {
        use redb::Error as E;
        let Self::Database(error) = self else {
            return false;
        };
        matches!(
            **error,
            E::Io(_) | E::PreviousIo | E::DatabaseClosed | E::LockPoisoned(_) | E::Corrupted(_)
        )
    }

    pub(super) fn into_error(self, store: &str) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Database(error) => database(store, *error).into(),
        }
    }
}

/// Converts an error of the database to an error of the store.
pub(super) fn database(store: &str, error: redb::Error) -> LocalError {
    let store = store.to_owned();
    match error {
        redb::Error::Io(error) if is_full(&error) => LocalError::Full(store, error),
        error => LocalError::Database(store, Box::new(error)),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<redb::Error> for Failed {
    fn from(error: redb::Error) -> Self {
        Self::Database(Box::new(error))
    }
}

macro_rules! database_errors {
    ($($of:ident),*) => {$(
        impl From<redb::$of> for Failed {
            fn from(error: redb::$of) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

database_errors!(
    TransactionError,
    TableError,
    StorageError,
    CommitError,
    DatabaseError
);
