//! The parameters of `GET /v0.1/servers`.

use std::time::SystemTime;

use mcp_orchestrator_core::time::from_rfc3339;
use mcp_orchestrator_core::{Error, ErrorKind, Result};

use super::entries::{Entry, VERSION};
use crate::limits::MAX_REGISTRY_PAGE;

/// Entries in a page if the client does not say how many it wants.
const DEFAULT_LIMIT: usize = 30;

/// Which entries a client wants.
#[derive(Debug)]
pub(super) struct Query {
    /// The name of the last entry of the page before.
    after: Option<String>,
    limit: usize,
    /// A part of the name, in lower case.
    search: Option<String>,
    updated_since: Option<SystemTime>,
    version: Option<String>,
}

/// Some of the entries.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// The cursor of the next page.
    pub(super) next: Option<String>,
}

impl Page {
    /// Returns a page with this entry only.
    pub(super) fn of(entry: Entry) -> Self {
        Self {
            entries: vec![entry],
            next: None,
        }
    }
}

impl Query {
    /// Reads the parameters. Empty and unknown ones have no effect; deleted entries do not exist.
    ///
    /// # Errors
    /// [`InvalidParams`](ErrorKind::InvalidParams) with the name of the parameter.
    pub(super) fn read(query: &str) -> Result<Self> {
        let mut read = Self {
            after: None,
            limit: DEFAULT_LIMIT,
            search: None,
            updated_since: None,
            version: None,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if value.is_empty() {
                continue;
            }
            match &*name {
                "cursor" => read.after = Some(value.into_owned()),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| *limit > 0);
                    let limit: usize =
                        limit.ok_or_else(|| invalid("limit: not a number above 0"))?;
                    read.limit = limit.min(MAX_REGISTRY_PAGE);
                }
                "search" => read.search = Some(value.to_lowercase()),
                "updated_since" => {
                    let since = from_rfc3339(&value);
                    read.updated_since =
                        Some(since.ok_or_else(|| invalid("updated_since: not an RFC 3339 time"))?);
                }
                "version" => read.version = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(read)
    }

    /// Selects a page of the entries, which are sorted by name.
    pub(super) fn apply(&self, entries: Vec<Entry>) -> Page {
        let is_wanted = |entry: &Entry| {
            let text = |text: &String| entry.name.to_lowercase().contains(text);
            self.after.as_ref().is_none_or(|after| entry.name > *after)
                && self.search.as_ref().is_none_or(text)
                && self.updated_since.is_none_or(|since| entry.since >= since)
                && matches!(self.version.as_deref(), None | Some("latest" | VERSION))
        };
        let mut entries: Vec<Entry> = entries.into_iter().filter(is_wanted).collect();
        let is_last = entries.len() <= self.limit;
        entries.truncate(self.limit);
        let last = entries.last().filter(|_| !is_last);
        Page {
            next: last.map(|entry| entry.name.clone()),
            entries,
        }
    }
}

fn invalid(text: &'static str) -> Error {
    Error::new(ErrorKind::InvalidParams, text)
}
