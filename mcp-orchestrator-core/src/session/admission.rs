//! The admission of a session's last request.

use std::sync::Arc;

use http::HeaderValue;

use super::Session;
use crate::auth::Grant;

impl Session {
    /// Returns the admission of the last request; `None` if none was bound.
    pub(crate) fn grant(&self) -> Option<Arc<dyn Grant>> {
        self.last_request.grant()
    }

    /// Records an admitted request with this `Authorization`. Creates a grant if the header differs from the last one.
    pub(crate) fn admitted(
        &self,
        authorization: Option<&HeaderValue>,
        grant: impl FnOnce() -> Arc<dyn Grant>,
    ) {
        self.last_request.admitted(authorization, grant);
    }
}
