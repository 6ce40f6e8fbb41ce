//! Imports a remote server.

use super::inputs::{Place, filled};
use crate::config::import::builder::EntryBuilder;
use crate::config::import::registry::server_json::Remote;
use crate::config::schema::server::TransportEntry;
use crate::config::schema::value::Typed;

impl Remote {
    /// Creates an entry with a URL.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn make(&self, made: &mut EntryBuilder) -> Result<(), String> {
        made.entry.transport = match self.r#type.as_str() {
            "streamable-http" | "streamable" | "http" | "" => None,
            "sse" => Some(TransportEntry::Sse),
            other => return Err(format!("unknown transport {other}")),
        };
        let url = self.url.as_deref().ok_or("it has no URL")?;
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err("its URL does not start with https:// or http://".to_owned());
        }
        let url = filled(url, &self.variables, "url", made)?;
        made.entry.url = Some(Typed(url));
        for named in &self.headers {
            named.make(Place::Header, made)?;
        }
        Ok(())
    }
}
