//! Installation by sign-in, for servers that use OAuth.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{Actor, ByLink, InstallationInfo, Installer, Prepared, info, values};
use crate::audit::Action;
use crate::credential::{
    AuthorizationAnswer, Authorizations, Begun, InstallationKey, NewAuthorization,
    PendingAuthorization, Precondition, StoredCredential,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::SlotName;

impl Installer {
    /// Enables installation by sign-in.
    #[must_use]
    pub fn with_sign_ins(mut self, sign_ins: Authorizations) -> Self {
        self.sign_ins = Some(sign_ins);
        self
    }

    /// Returns the sign-ins, or `None` if they are not enabled.
    pub fn sign_ins(&self) -> Option<&Authorizations> {
        self.sign_ins.as_ref()
    }

    /// Begins a sign-in for an installation, which may replace an existing one. Only this caller can complete it.
    /// `values` are those of the server's other slots; they are checked before the user is sent to the issuer.
    ///
    /// # Errors
    /// Same as [`install`](Self::install) for permissions and values, and as [`Authorizations::begin`].
    pub async fn begin_sign_in(
        &self,
        actor: &Actor,
        key: &InstallationKey,
        values: BTreeMap<SlotName, SecretString>,
        redirect_uri: &str,
    ) -> Result<Begun> {
        let spec = self.allowed(actor, key)?;
        let before = self.installed.installations().get(key).await?;
        let before = before.map(|(stored, _)| stored);
        if let Some(oauth) = &spec.oauth {
            if values.contains_key(&oauth.slot) {
                let text = format!("the value of slot {} comes from the sign-in", oauth.slot);
                return Err(Error::new(ErrorKind::InvalidParams, text).with_server(&key.server));
            }
            let mut all = values.clone();
            all.insert(oauth.slot.clone(), "later".into());
            values::complete(&spec, before.as_ref(), all)?;
        }
        let new = NewAuthorization {
            key,
            redirect_uri,
            for_whom: actor.principal.id.as_str(),
            values,
        };
        self.signing_in()?.begin(&spec, new).await
    }

    /// Returns a pending sign-in of this caller.
    ///
    /// # Errors
    /// [`InvalidParams`](ErrorKind::InvalidParams) if no sign-in with this state exists or if it has expired;
    /// [`Forbidden`](ErrorKind::Forbidden) if another caller began it.
    pub async fn pending_sign_in(
        &self,
        actor: &Actor,
        state: &str,
    ) -> Result<PendingAuthorization> {
        let pending = self.signing_in()?.pending(state).await?;
        if pending.for_whom == actor.principal.id.as_str() {
            return Ok(pending);
        }
        let text = "this sign-in was started by another user";
        Err(Error::new(ErrorKind::Forbidden, text))
    }

    /// Completes a sign-in with the response that the browser brought back, tries the token and stores it as a new
    /// revision. Uses up the setup link, if there is one.
    ///
    /// # Errors
    /// Same as [`Authorizations::finish`] and [`install`](Self::install). Nothing is stored then. The sign-in is used
    /// up, unless the caller may not complete it.
    pub async fn finish_sign_in(
        &self,
        actor: &Actor,
        state: &str,
        answer: AuthorizationAnswer,
        link: Option<ByLink<'_>>,
    ) -> Result<InstallationInfo> {
        let key = self.pending_sign_in(actor, state).await?.key;
        let there = self.installed.installations().get(&key).await?.is_some();
        let action = if there {
            Action::Rotate
        } else {
            Action::Install
        };
        let recording = self.recording(actor, action, &key);
        let finished = self.finish_one(actor, key, (state, answer), link).await;
        recording.end(&finished);
        finished
    }

    async fn finish_one(
        &self,
        actor: &Actor,
        key: InstallationKey,
        (state, answer): (&str, AuthorizationAnswer),
        link: Option<ByLink<'_>>,
    ) -> Result<InstallationInfo> {
        let sign_ins = self.signing_in()?;
        let spec = self.allowed(actor, &key)?;
        let for_whom = actor.principal.id.as_str();
        let finished = sign_ins.finish(&spec, state, answer, for_whom).await?;
        let before = self.installed.installations().get(&key).await?;
        let (before, precondition) = match before {
            Some((stored, version)) => (Some(stored), Precondition::Unchanged(version)),
            None => (None, Precondition::Absent),
        };
        let got = finished.credential;
        let stored = StoredCredential {
            values: values::complete(&spec, before.as_ref(), got.values)?,
            settings: info::settings(actor),
            ..got
        };
        let prepared = Prepared {
            key,
            spec,
            stored,
            precondition,
            check: true,
            link,
        };
        self.store(actor, prepared).await
    }

    fn signing_in(&self) -> Result<&Authorizations> {
        self.sign_ins.as_ref().ok_or_else(|| {
            let text = "sign-in at upstream servers is not configured";
            Error::new(ErrorKind::Unsupported, text)
        })
    }
}
