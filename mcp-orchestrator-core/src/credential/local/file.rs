//! The database file of a local store: creating, checking and opening it.

use std::path::Path;

use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase as _, ReadableTable, TableDefinition,
};

use super::errors::{Failed, LocalError, database};
use super::key::KeySource;
use crate::credential::RecordKind;
use crate::seal::StateKey;
use crate::state::private::{self, Written};

/// Rows by kind and place.
pub(super) const ROWS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("records");
/// Facts about the whole file.
pub(super) const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
/// Fact: the number of writes so far, which is also the version of the last one.
pub(super) const WRITES: &str = "writes";
/// Fact: the format of the file.
const FORM: &str = "form";
const THIS_FORM: &[u8] = b"1";
/// Fact: a value that can be opened only with the right key.
const CHECK: &str = "check";
const CHECK_LABEL: &str = "credential check";
const CHECKED: &[u8] = b"this is the key";
/// Cache size of the database in bytes.
const CACHE: usize = 8 << 20;

/// A row to be written.
pub(super) struct Row {
    pub(super) kind: RecordKind,
    pub(super) place: String,
    pub(super) sealed: Vec<u8>,
}

/// A complete file that is not yet in its final place.
pub(super) struct Built {
    written: Written,
    store: String,
}

/// Builds a store with these rows in a temporary file. The file is moved into place only once it is complete.
pub(super) fn build(
    path: &Path,
    key: &StateKey,
    rows: &[Row],
    writes: u64,
) -> Result<Built, LocalError> {
    let store = path.display().to_string();
    let written = private::write(private::folder_of(path), &[])
        .map_err(|error| LocalError::Folder(store.clone(), error))?;
    match fill(written.path(), key, rows, writes) {
        Ok(()) => Ok(Built { written, store }),
        Err(error) => Err(database(&store, error)),
    }
}

impl Built {
    /// Moves the file into place and syncs the directory.
    pub(super) fn settle(self, path: &Path) -> Result<(), LocalError> {
        let placed = self.written.place(path);
        let placed = placed.and_then(|()| private::sync_dir(private::folder_of(path)));
        placed.map_err(|error| LocalError::Folder(self.store, error))
    }
}

fn fill(path: &Path, key: &StateKey, rows: &[Row], writes: u64) -> Result<(), redb::Error> {
    let database = builder().create(path)?;
    let transaction = database.begin_write()?;
    {
        let mut facts = transaction.open_table(FACTS)?;
        facts.insert(FORM, THIS_FORM)?;
        facts.insert(CHECK, &key.seal_bytes(CHECK_LABEL, b"", CHECKED)[..])?;
        facts.insert(WRITES, &writes.to_be_bytes()[..])?;
        let mut table = transaction.open_table(ROWS)?;
        for row in rows {
            let at = (row.kind.as_str(), row.place.as_str());
            table.insert(at, row.sealed.as_slice())?;
        }
    }
    transaction.commit()?;
    database.close()?;
    Ok(())
}

/// Opens the store for reading and writing, repairing it after a crash if necessary.
pub(super) fn open(path: &Path) -> Result<Database, LocalError> {
    let opened = builder().open(path);
    opened.map_err(|error| database(&path.display().to_string(), error.into()))
}

/// Checks that the store is sealed under this key and has a supported format. Changes nothing that is stored.
pub(super) fn check(path: &Path, key: &StateKey, source: &KeySource) -> Result<(), LocalError> {
    let store = path.display().to_string();
    let fact = facts(path).map_err(|error| database(&store, error))?;
    if fact.form != THIS_FORM {
        let form = String::from_utf8_lossy(&fact.form).into_owned();
        return Err(LocalError::Form(store, form));
    }
    match key.open_bytes(CHECK_LABEL, b"", &fact.check) {
        Some(checked) if *checked == CHECKED => Ok(()),
        _ => Err(LocalError::WrongKey(store, source.to_string())),
    }
}

struct Facts {
    form: Vec<u8>,
    check: Vec<u8>,
}

fn facts(path: &Path) -> Result<Facts, redb::Error> {
    match builder().open_read_only(path) {
        Ok(database) => read_facts(&database.begin_read()?),
        // The database was not closed cleanly and must be repaired first, which does not change its contents.
        Err(redb::DatabaseError::RepairAborted) => read_facts(&builder().open(path)?.begin_read()?),
        Err(error) => Err(error.into()),
    }
}

fn read_facts(transaction: &ReadTransaction) -> Result<Facts, redb::Error> {
    let table = transaction.open_table(FACTS)?;
    let fact = |name: &str| -> Result<Vec<u8>, redb::Error> {
        let value = table.get(name)?;
        Ok(value
            .map(|value| value.value().to_vec())
            .unwrap_or_default())
    };
    Ok(Facts {
        form: fact(FORM)?,
        check: fact(CHECK)?,
    })
}

/// Returns the number of writes so far.
pub(super) fn writes(
    facts: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<u64, Failed> {
    let writes = facts.get(WRITES)?;
    let bytes = writes.and_then(|writes| <[u8; 8]>::try_from(writes.value()).ok());
    let lost = || redb::Error::Corrupted("the number of writes is lost".to_owned());
    Ok(u64::from_be_bytes(bytes.ok_or_else(lost)?))
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}
