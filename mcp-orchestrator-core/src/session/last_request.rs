//! Principal, token and grant of a session's last request.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use crate::auth::{Grant, Principal};

/// The sender of a session's last request.
pub(super) struct LastRequest {
    /// The principal as of the last request or reload.
    principal: ArcSwap<Principal>,
    /// The token of the last request, for resolvers that exchange it.
    token: ArcSwapOption<SecretString>,
    /// The admission of the last request.
    grant: ArcSwapOption<Granted>,
}

/// The admission of a request, and its `Authorization`.
struct Granted {
    authorization: Option<HeaderValue>,
    grant: Arc<dyn Grant>,
}

impl LastRequest {
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

    /// Updates the teams of the principal.
    pub(super) fn is(&self, principal: &Arc<Principal>) {
        let known = self.principal.load();
        // Compare first: writing costs each call more than reading.
        if !Arc::ptr_eq(&known, principal) && **known != **principal {
            self.principal.store(Arc::clone(principal));
        }
    }

    pub(super) fn token(&self) -> Option<SecretString> {
        self.token.load().as_deref().cloned()
    }

    /// Records a request with its principal and token.
    pub(super) fn sent(&self, principal: &Arc<Principal>, token: Option<&SecretString>) {
        self.is(principal);
        let Some(token) = token else { return };
        let same = |known: &Arc<SecretString>| known.expose_secret() == token.expose_secret();
        if !self.token.load().as_ref().is_some_and(same) {
            self.token.store(Some(Arc::new(token.clone())));
        }
    }

    /// Returns the admission of the last request; `None` if none was bound.
    pub(super) fn grant(&self) -> Option<Arc<dyn Grant>> {
        let granted = self.grant.load();
        granted.as_ref().map(|granted| Arc::clone(&granted.grant))
    }

    /// Records an admitted request with this `Authorization`. Creates a grant if the header differs from the last one.
    pub(super) fn admitted(
        &self,
        authorization: Option<&HeaderValue>,
        grant: impl FnOnce() -> Arc<dyn Grant>,
    ) {
        let known = &self.grant;
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
