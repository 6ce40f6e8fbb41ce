//! Entries of the API server's audit log for the gateway's account.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::stage::Stage;

/// Requests of the gateway's account, from a position in the log.
pub(crate) struct Audit {
    file: PathBuf,
    user: String,
    from: u64,
}

/// The recorded writes.
#[derive(Debug, Default)]
pub(crate) struct RecordedWrites {
    /// Writes per resource.
    pub(crate) counts: BTreeMap<String, usize>,
    /// The most writes with the name of one instance, which all its objects share.
    pub(crate) each: usize,
    /// The most concurrent writes.
    pub(crate) at_once: usize,
}

impl RecordedWrites {
    pub(crate) fn total(&self) -> usize {
        self.counts.values().sum()
    }

    /// The resources written, except the Lease, which its holder writes continuously.
    pub(crate) fn besides_the_lease(&self) -> Vec<&String> {
        let resources = self.counts.keys();
        resources.filter(|resource| *resource != "leases").collect()
    }
}

impl Audit {
    /// Starts at the log's current end.
    pub(crate) fn here(stage: &Stage) -> Self {
        let file = std::env::var_os("MCP_ORCHESTRATOR_TEST_AUDIT")
            .expect("MCP_ORCHESTRATOR_TEST_AUDIT must name the audit log of the cluster");
        Self {
            user: format!("system:serviceaccount:{}:gateway", stage.space.name),
            from: std::fs::metadata(&file).unwrap().len(),
            file: file.into(),
        }
    }

    /// Returns the writes since the last call.
    pub(crate) fn writes(&mut self) -> RecordedWrites {
        let mut file = std::fs::File::open(&self.file).unwrap();
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let (mut writes, mut edges) = (RecordedWrites::default(), Vec::new());
        let mut names = BTreeMap::new();
        for line in BufReader::new(&file).lines() {
            let line = line.unwrap();
            self.from += line.len() as u64 + 1;
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            let Some(resource) = self.written(&event) else {
                continue;
            };
            *writes.counts.entry(resource).or_default() += 1;
            let name = event["objectRef"]["name"].as_str().unwrap_or_default();
            let own: &mut usize = names.entry(name.to_owned()).or_default();
            *own += 1;
            edges.push((time(&event, "requestReceivedTimestamp"), 1));
            edges.push((time(&event, "stageTimestamp"), -1));
        }
        // The Lease and the owner have other names.
        let instances = names.iter().filter(|(name, _)| name.starts_with("mcp-"));
        writes.each = instances.map(|(_, own)| *own).max().unwrap_or_default();
        edges.sort_unstable();
        let mut now = 0_i32;
        for (_, step) in edges {
            now += step;
            writes.at_once = writes.at_once.max(usize::try_from(now).unwrap_or(0));
        }
        writes
    }

    /// Returns the resource that this account wrote, if the event is a completed write.
    fn written(&self, event: &Value) -> Option<String> {
        let verb = event["verb"].as_str()?;
        let is_write = matches!(verb, "create" | "patch" | "update" | "delete");
        let own = event["user"]["username"] == self.user.as_str();
        let resource = event["objectRef"]["resource"].as_str()?;
        let done = event["stage"] == "ResponseComplete";
        // Access reviews and dry runs change nothing.
        let asks = resource == "selfsubjectaccessreviews"
            || event["requestURI"].as_str()?.contains("dryRun=All");
        (is_write && own && done && !asks).then(|| resource.to_owned())
    }
}

fn time(event: &Value, name: &str) -> Timestamp {
    event[name].as_str().unwrap().parse().unwrap()
}
