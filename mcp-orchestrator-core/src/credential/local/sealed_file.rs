//! The database of a local store: held by one process and reopened after a failure.

use std::path::{Path, PathBuf};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, WriteTransaction,
};

use super::errors::{Failed, LocalError};
use super::file::{FACTS, ROWS, Row, WRITES, build, check, open, writes};
use super::key::{Key, KeySource};
use super::key_file;
use super::rows;
use crate::credential::{Record, RecordKey, RecordKind};
use crate::error::{Error, Result};
use crate::seal::StateKey;
use crate::state::lock::{Lock, Taken};
use crate::state::private;

const STORE: &str = "store.redb";
const LOCK: &str = "lock";

/// An open store.
#[derive(Debug)]
pub(super) struct SealedFile {
    path: PathBuf,
    open: RwLock<Open>,
    _lock: Lock,
}

#[derive(Debug)]
struct Open {
    /// `None` after a failure, until the database is reopened.
    database: Option<Database>,
    key: StateKey,
}

impl SealedFile {
    /// Locks the folder and opens its store, creating it if necessary.
    pub(super) fn open(folder: &Path, key: Key, source: &KeySource) -> Result<Self, LocalError> {
        let failed = |error| LocalError::Folder(folder.display().to_string(), error);
        private::make_dir(folder).map_err(failed)?;
        let lock = match Lock::take(&folder.join(LOCK)).map_err(failed)? {
            Taken::Ours(lock) => lock,
            Taken::By(holder) => {
                return Err(LocalError::Held(folder.display().to_string(), holder));
            }
        };
        private::sweep(folder).map_err(failed)?;
        let path = folder.join(STORE);
        let exists = path.try_exists().map_err(failed)?;
        let key = match key {
            Key::Told(key) if exists => check(&path, &key, source).map(|()| key)?,
            Key::Told(key) => key,
            Key::File(file) => key_file::find(&path, exists, &file)?,
        };
        if !exists {
            build(&path, &key, &[], 0)?.settle(&path)?;
        }
        let database = Some(open(&path)?);
        Ok(Self {
            path,
            open: RwLock::new(Open { database, key }),
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a consistent snapshot of the rows.
    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&StateKey, &ReadTransaction) -> Result<T, Failed>,
    ) -> Result<T> {
        self.with(|key, database| look(key, &database.begin_read()?))
    }

    /// Changes rows. The change is durable when this returns `Ok` and has no effect otherwise. `change` is given the
    /// version of this write.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&StateKey, &WriteTransaction, u64) -> Result<T, Failed>,
    ) -> Result<T> {
        self.with(|key, database| {
            let transaction = database.begin_write()?;
            let write = {
                let mut facts = transaction.open_table(FACTS)?;
                let write = writes(&facts)? + 1;
                facts.insert(WRITES, &write.to_be_bytes()[..])?;
                write
            };
            let done = change(key, &transaction, write)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    /// Seals everything under another key, in a new file that replaces this one as a whole.
    pub(super) fn rekey(&self, to: Key) -> Result<()> {
        let mut held = self.open.write();
        let Open { database, key } = &mut *held;
        if database.is_none() {
            *database = Some(open(&self.path)?);
        }
        let Some(current) = database else {
            return Err(LocalError::BrokenOff(self.name()).into());
        };
        let (rows, writes) = self
            .every_row(key, current)
            .map_err(|failed| failed.into_error(&self.name()))?;
        let (next, place) = match to {
            Key::Told(next) => (next, None),
            Key::File(file) => key_file::next(&file, key)?,
        };
        let rows: Vec<_> = rows
            .iter()
            .map(|(of, record, version)| Row {
                kind: of.kind,
                place: rows::place(&next, of),
                sealed: rows::seal(&next, of, record, *version),
            })
            .collect();
        let built = build(&self.path, &next, &rows, writes)?;
        // From here on the old file is no longer used.
        *database = None;
        let settled = built.settle(&self.path);
        // The new file may be in place even if the directory sync failed.
        if check(&self.path, &next, &KeySource::Env(String::new())).is_ok() {
            *key = next;
        }
        settled?;
        if let Some(waiting) = place {
            waiting.settle()?;
        }
        *database = Some(open(&self.path)?);
        Ok(())
    }

    fn every_row(&self, key: &StateKey, current: &Database) -> Result<(Vec<Opened>, u64), Failed> {
        let transaction = current.begin_read()?;
        let table = transaction.open_table(ROWS)?;
        let mut all = Vec::new();
        for entry in table.iter()? {
            let (at, row) = entry?;
            let (kind, at) = at.value();
            let opened = RecordKind::of(kind).and_then(|kind| {
                let (of, record) = rows::open(key, kind, at, row.value())?;
                Some((of, record, rows::Head::of(row.value())?.version))
            });
            // A row that cannot be opened aborts the rekeying before anything is changed, so that no row is lost.
            let broken = || LocalError::Unsealed(format!("{kind} at {at}"));
            all.push(opened.ok_or_else(|| Error::from(broken()))?);
        }
        let writes = writes(&transaction.open_table(FACTS)?)?;
        Ok((all, writes))
    }

    fn with<T>(&self, work: impl FnOnce(&StateKey, &Database) -> Result<T, Failed>) -> Result<T> {
        let done = {
            let open = self.opened()?;
            let database = open.database.as_ref();
            let Some(database) = database else {
                return Err(LocalError::BrokenOff(self.name()).into());
            };
            work(&open.key, database)
        };
        done.map_err(|failed| {
            if failed.is_lasting() {
                tracing::warn!(store = %self.path.display(), ?failed, "the credential store is opened again");
                self.held().database = None;
            }
            failed.into_error(&self.name())
        })
    }

    /// Returns the database, reopened if it failed earlier.
    fn opened(&self) -> Result<RwLockReadGuard<'_, Open>> {
        {
            let open = self.open.read();
            if open.database.is_some() {
                return Ok(open);
            }
        }
        {
            let mut held = self.held();
            if held.database.is_none() {
                held.database = Some(open(&self.path)?);
            }
        }
        Ok(self.open.read())
    }

    fn held(&self) -> RwLockWriteGuard<'_, Open> {
        self.open.write()
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// An opened record and its version.
type Opened = (RecordKey, Record, u64);
