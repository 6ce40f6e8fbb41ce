//! Hands a secret to people through a Kubernetes Secret: they read it with their own rights in the cluster, and it is
//! never printed.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::kubernetes::client::access::Access;
use crate::kubernetes::client::errors::Action;
use crate::kubernetes::client::rejection::is_conflict;

/// The key of the secret in the Secret's data.
const DATA_KEY: &str = "token";
/// Annotation: set once the secret is in effect. A secret with this annotation is not offered again.
const IN_EFFECT: &str = "mcp-orchestrator.dev/counts";
const MANAGER: &str = "mcp-orchestrator-handover";

/// A Kubernetes Secret that hands over a secret value. It has no owner reference, so it survives the orchestrator's
/// objects, as does what the value gives access to.
pub struct BootstrapSecret {
    access: Access,
    name: String,
    labels: BTreeMap<String, String>,
}

impl BootstrapSecret {
    pub(crate) fn new(access: Access, name: String, labels: BTreeMap<String, String>) -> Self {
        Self {
            access,
            name,
            labels,
        }
    }

    /// Returns the name of the Secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Offers this secret, unless another one has been offered and is not in effect yet. Returns the secret that is
    /// on offer. Two processes that offer concurrently get the same one.
    ///
    /// # Errors
    /// If the Secret can be neither read nor written.
    pub async fn offer(&self, new: SecretString) -> Result<SecretString> {
        match self.read().await? {
            Some(found) => self.renew(&found, new).await,
            None => self.create(new).await,
        }
    }

    /// Marks the offered secret as being in effect.
    ///
    /// # Errors
    /// If the Secret cannot be written.
    pub async fn counts(&self) -> Result<()> {
        let noted = json!({ "metadata": { "annotations": { IN_EFFECT: "true" } } });
        self.patch(&noted).await
    }

    async fn create(&self, new: SecretString) -> Result<SecretString> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(self.labels.clone()),
                ..ObjectMeta::default()
            },
            data: Some([(DATA_KEY.to_owned(), ByteString(new.expose_secret().into()))].into()),
            ..Secret::default()
        };
        match self.secrets().create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(new),
            Err(error) if is_conflict(&error) => match self.read().await? {
                Some(found) => self.renew(&found, new).await,
                None => {
                    let text = format!(
                        "secret {} was taken away while it was made: try again",
                        self.name
                    );
                    Err(Error::new(ErrorKind::Conflict, text))
                }
            },
            Err(error) => Err(self.action("create").error(error)),
        }
    }

    async fn renew(&self, found: &Secret, new: SecretString) -> Result<SecretString> {
        let annotations = found.metadata.annotations.as_ref();
        let in_effect = annotations.is_some_and(|all| all.contains_key(IN_EFFECT));
        let entry = found.data.as_ref().and_then(|data| data.get(DATA_KEY));
        let offered = entry.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        if let Some(offered) = offered.filter(|_| !in_effect) {
            return Ok(offered.into());
        }
        let data = serde_json::to_value(ByteString(new.expose_secret().into()));
        let data = data.map_err(|error| {
            Error::new(ErrorKind::Internal, "a secret makes no JSON").with_source(error)
        })?;
        let renewed = json!({
            "metadata": { "annotations": { IN_EFFECT: null } },
            "data": { DATA_KEY: data },
        });
        self.patch(&renewed).await?;
        Ok(new)
    }

    async fn read(&self) -> Result<Option<Secret>> {
        let found = self.secrets().get_opt(&self.name).await;
        found.map_err(|error| self.action("get").error(error))
    }

    async fn patch(&self, patch: &serde_json::Value) -> Result<()> {
        let params = PatchParams::apply(MANAGER);
        let (secrets, patch) = (self.secrets(), Patch::Merge(patch));
        let patched = secrets.patch(&self.name, &params, &patch).await;
        patched.map_err(|error| self.action("patch").error(error))?;
        Ok(())
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.access.client().clone(), self.access.namespace())
    }

    fn action(&self, verb: &'static str) -> Action<'_> {
        Action::new(verb, "secrets", self.access.namespace()).on(&self.name)
    }
}

impl fmt::Debug for BootstrapSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootstrapSecret")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
