//! The Secrets and NetworkPolicies that belong to a Deployment. They are watched by their metadata alone, and are
//! restored if another client changes or deletes one.

use std::collections::{HashMap, HashSet};

use kube::core::ObjectMeta;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use serde_json::Value;

use super::objects::foreign_changes;
use crate::runtime::kubernetes::kind::Kind;
use crate::runtime::kubernetes::names::INSTANCE;

/// The Secrets and NetworkPolicies of all instances.
#[derive(Debug, Default)]
pub(crate) struct Dependents(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Objects by instance name.
    objects: HashMap<String, Vec<Object>>,
    /// The kinds with a complete initial list.
    synced: HashSet<Kind>,
}

/// A Secret or NetworkPolicy.
#[derive(Debug)]
struct Object {
    kind: Kind,
    name: String,
    /// The resource version of our last write; `None` if another client had changed the object before this process
    /// saw it.
    ours: Option<String>,
    /// The latest resource version seen; `None` if the object is gone.
    seen: Option<String>,
}

impl Object {
    fn is(&self, kind: Kind, name: &str) -> bool {
        self.kind == kind && self.name == name
    }

    fn is_changed(&self) -> bool {
        match (&self.ours, &self.seen) {
            (Some(ours), Some(seen)) => is_newer(seen, ours),
            (None, _) | (_, None) => true,
        }
    }
}

/// Returns `true` if `version` is more recent. Resource versions are increasing numbers.
fn is_newer(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version > than,
        _ => version != than,
    }
}

// === impl Dependents ===

impl Dependents {
    /// Returns `true` if an object of this instance differs from our last write.
    pub(crate) fn is_changed(&self, instance: &str) -> bool {
        let known = self.0.lock();
        let own = known.objects.get(instance);
        own.is_some_and(|own| own.iter().any(Object::is_changed))
    }

    /// Returns `true` if one of these objects is known to be missing.
    pub(crate) fn lacks<'a>(
        &self,
        instance: &str,
        wanted: impl IntoIterator<Item = (Kind, &'a Value)>,
    ) -> bool {
        let known = self.0.lock();
        let own = known.objects.get(instance).map_or(&[][..], Vec::as_slice);
        wanted.into_iter().any(|(kind, object)| {
            let stands = own.iter().any(|it| it.is(kind, name_of(object)));
            known.synced.contains(&kind) && !stands
        })
    }

    /// Records our own write and the resource version that it produced.
    pub(crate) fn wrote(&self, kind: Kind, instance: &str, name: &str, version: String) {
        let mut known = self.0.lock();
        let own = known.objects.entry(instance.to_owned()).or_default();
        own.retain(|it| !it.is(kind, name));
        own.push(Object {
            kind,
            name: name.to_owned(),
            ours: Some(version.clone()),
            seen: Some(version),
        });
    }

    /// Forgets all objects of this instance.
    pub(crate) fn forget(&self, instance: &str) {
        self.0.lock().objects.remove(instance);
    }

    /// Forgets those objects of this instance that are gone.
    pub(crate) fn drop_gone(&self, instance: &str) {
        let mut known = self.0.lock();
        if let Some(own) = known.objects.get_mut(instance) {
            own.retain(|it| it.seen.is_some());
            if own.is_empty() {
                known.objects.remove(instance);
            }
        }
    }

    /// Processes a watch event. Returns the names of the affected instances.
    pub(crate) fn observe(
        &self,
        kind: Kind,
        manager: &str,
        listed: &mut HashSet<String>,
        event: &Event<ObjectMeta>,
    ) -> Vec<String> {
        match event {
            Event::Init => {
                listed.clear();
                Vec::new()
            }
            Event::InitApply(meta) => {
                listed.extend(meta.name.clone());
                self.saw(kind, manager, meta);
                Vec::new()
            }
            Event::InitDone => self.keep(kind, &std::mem::take(listed)),
            Event::Apply(meta) => self.saw(kind, manager, meta).into_iter().collect(),
            Event::Delete(meta) => self.lost(kind, meta).into_iter().collect(),
        }
    }

    fn saw(&self, kind: Kind, manager: &str, meta: &ObjectMeta) -> Option<String> {
        let instance = meta.labels.as_ref()?.get(INSTANCE)?;
        let (name, version) = (meta.name.as_ref()?, meta.resource_version.as_ref()?);
        let mut known = self.0.lock();
        let own = known.objects.entry(instance.clone()).or_default();
        match own.iter_mut().find(|it| it.is(kind, name)) {
            Some(object) => {
                let seen = object.seen.as_ref();
                if seen.is_none_or(|seen| is_newer(version, seen)) {
                    object.seen = Some(version.clone());
                }
            }
            None => own.push(Object {
                kind,
                name: name.clone(),
                // Written before this process started, or by us a moment ago.
                ours: Some(version.clone()).filter(|_| foreign_changes(meta, manager).is_none()),
                seen: Some(version.clone()),
            }),
        }
        Some(instance.clone())
    }

    fn lost(&self, kind: Kind, meta: &ObjectMeta) -> Option<String> {
        let instance = meta.labels.as_ref()?.get(INSTANCE)?;
        let (name, version) = (meta.name.as_ref()?, meta.resource_version.as_ref()?);
        let mut known = self.0.lock();
        let own = known.objects.get_mut(instance)?;
        let object = own.iter_mut().find(|it| it.is(kind, name))?;
        // It may have been created again in the meantime.
        if object
            .seen
            .as_ref()
            .is_some_and(|seen| is_newer(version, seen))
        {
            object.seen = None;
        }
        Some(instance.clone())
    }

    /// Completes a list: objects that are not in it are gone.
    fn keep(&self, kind: Kind, listed: &HashSet<String>) -> Vec<String> {
        let mut known = self.0.lock();
        known.synced.insert(kind);
        let mut concerned = Vec::new();
        for (instance, own) in &mut known.objects {
            let gone = own
                .iter_mut()
                .filter(|it| it.kind == kind && !listed.contains(&it.name));
            if gone.map(|it| it.seen = None).count() > 0 {
                concerned.push(instance.clone());
            }
        }
        concerned
    }
}

pub(crate) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KIND: Kind = Kind::Secret;

    fn meta(version: &str, by: &str) -> ObjectMeta {
        serde_json::from_value(json!({
            "name": "mcp-a-1", "resourceVersion": version,
            "labels": { INSTANCE: "mcp-a-1" },
            "managedFields": [
                { "manager": by, "operation": "Update", "fieldsV1": { "f:data": { "f:env-A": {} } } },
            ],
        }))
        .unwrap()
    }

    fn changed_after(
        dependents: &Dependents,
        events: impl IntoIterator<Item = Event<ObjectMeta>>,
    ) -> bool {
        let mut listed = HashSet::new();
        for event in events {
            dependents.observe(KIND, "us", &mut listed, &event);
        }
        dependents.is_changed("mcp-a-1")
    }

    #[test]
    fn existing_object_counts_as_changed_if_another_manager_edited_it() {
        let list = |by: &str| {
            [
                Event::Init,
                Event::InitApply(meta("5", by)),
                Event::InitDone,
            ]
        };
        assert!(!changed_after(&Dependents::default(), list("us")));
        assert!(changed_after(&Dependents::default(), list("kubectl-edit")));
    }

    #[test]
    fn events_after_our_own_write_are_changes() {
        let dependents = Dependents::default();
        dependents.wrote(KIND, "mcp-a-1", "mcp-a-1", "9".to_owned());
        assert!(
            !changed_after(&dependents, [Event::Apply(meta("9", "us"))]),
            "it is our own"
        );
        assert!(
            !changed_after(&dependents, [Event::Delete(meta("8", "us"))]),
            "it was before"
        );
        assert!(
            changed_after(&dependents, [Event::Apply(meta("10", "us"))]),
            "a field was taken away"
        );
        dependents.wrote(KIND, "mcp-a-1", "mcp-a-1", "11".to_owned());
        assert!(changed_after(
            &dependents,
            [Event::Delete(meta("12", "us"))]
        ));
        dependents.wrote(KIND, "mcp-a-1", "mcp-a-1", "13".to_owned());
        assert!(
            changed_after(&dependents, [Event::Init, Event::InitDone]),
            "it was missed"
        );
        dependents.forget("mcp-a-1");
        assert!(!dependents.is_changed("mcp-a-1"));
    }
}
