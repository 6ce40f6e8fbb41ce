//! The definition of a tool as a gateway shows it that overrides it.

use super::KeptItem;
use super::hidden_arguments::{self, Leftover};
use crate::jsonrpc::{Members, Splice, quote};
use crate::protocol::Era;
use crate::router::{FixedArguments, ToolOverride};

impl KeptItem {
    /// Adds the edits that an override makes in [`shown`](Self::shown), except for that of the name.
    pub(crate) fn change_definition(&self, edits: &mut Splice, era: Era, change: &ToolOverride) {
        let (raw, _) = self.shown(era);
        let text = std::str::from_utf8(raw).unwrap_or_default();
        let (Some(tool), Some(start)) = (Members::read(text), text.find('{')) else {
            return;
        };
        let texts = [
            ("title", &change.title),
            ("description", &change.description),
        ];
        for (key, new) in texts {
            let Some(new) = new else { continue };
            match tool.span(raw, key) {
                Some(span) => edits.replace(span, quote(new)),
                None => edits.insert_member(raw, &(start..raw.len()), key, &quote(new)),
            };
        }
        if let Some(title) = &change.title
            && let Some(annotations) = tool.get("annotations").and_then(Members::read)
        {
            edits.member(raw, &annotations, "title", quote(title));
        }
        if let Some(schema) = tool.get("inputSchema")
            && !change.arguments.is_empty()
        {
            hidden_arguments::hide(edits, raw, schema, &change.arguments);
        }
    }

    /// Returns what the input schema says about these arguments after they were hidden, if that is not nothing.
    pub(crate) fn leftovers(&self, arguments: &FixedArguments) -> Vec<(String, Leftover)> {
        let members = self.members();
        let schema = members.get("inputSchema").unwrap_or("{}");
        hidden_arguments::leftovers(schema, arguments)
    }
}
