//! Who sends in a session, as of its last request.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::Session;
use crate::auth::{Grant, Principal};

/// Who sends in a session.
pub(super) struct Sender {
    /// The principal as it was at the last request or reload.
    principal: ArcSwap<Principal>,
    /// The token of the last request, for resolvers that exchange it.
    token: ArcSwapOption<SecretString>,
    /// What admitted the last request.
    grant: ArcSwapOption<Granted>,
}

impl Session {
    /// What admitted its last request; `None` where nobody said.
    pub(crate) fn grant(&self) -> Option<Arc<dyn Grant>> {
        let granted = self.sender.grant.load();
        granted.as_ref().map(|granted| Arc::clone(&granted.grant))
    }

    /// A request with this `Authorization` was admitted; its grant is made where it is another one than before.
    pub(crate) fn admitted(
        &self,
        authorization: Option<&HeaderValue>,
        grant: impl FnOnce() -> Arc<dyn Grant>,
    ) {
        let known = &self.sender.grant;
        let same = |known: &Arc<Granted>| known.authorization.as_ref() == authorization;
        if !known.load().as_ref().is_some_and(same) {
            let granted = Granted {
                authorization: authorization.cloned(),
                grant: grant(),
            };
            known.store(Some(Arc::new(granted)));
        }
    }
}

/// What admitted a request, and by which `Authorization`.
struct Granted {
    authorization: Option<HeaderValue>,
    grant: Arc<dyn Grant>,
}

impl Sender {
    pub(super) fn new(principal: Arc<Principal>) -> Self {
        Self {
            principal: ArcSwap::new(principal),
            token: ArcSwapOption::empty(),
            grant: ArcSwapOption::empty(),
        }
    }

    pub(super) fn principal(&self) -> Arc<Principal> {
        self.principal.load_full()
    }

    /// Takes over the teams of the principal as they are now.
    pub(super) fn is(&self, principal: &Arc<Principal>) {
        let known = self.principal.load();
        // Compared first: to write costs each call more than to read.
        if !Arc::ptr_eq(&known, principal) && **known != **principal {
            self.principal.store(Arc::clone(principal));
        }
    }

    pub(super) fn token(&self) -> Option<SecretString> {
        self.token.load().as_deref().cloned()
    }

    /// A request came from this principal, with this token.
    pub(super) fn sent(&self, principal: &Arc<Principal>, token: Option<&SecretString>) {
        self.is(principal);
        let Some(token) = token else { return };
        let same = |known: &Arc<SecretString>| known.expose_secret() == token.expose_secret();
        if !self.token.load().as_ref().is_some_and(same) {
            self.token.store(Some(Arc::new(token.clone())));
        }
    }
}
