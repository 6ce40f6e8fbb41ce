//! Warnings about requests that succeed but may not have the intended effect. They are part of the response.

use std::sync::Arc;

use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::credential::Owner;
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::router::Router as _;

use crate::control::Control;

impl Control {
    /// Returns warnings about a token for this subject.
    pub(crate) fn warnings_of_token(
        &self,
        subject: &Owner,
        gateway: Option<&GatewayId>,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        let authenticators = self.authenticators();
        if authenticators.is_some_and(|all| !all.accepts_tokens()) {
            warnings.push(
                "this gateway accepts no tokens: set `auth: {tokens: true}` in its configuration"
                    .to_owned(),
            );
        }
        let unknown = self.unknown_owner(subject);
        if unknown.is_none() && !self.reaches_a_gateway(subject, gateway) {
            warnings.push(match gateway {
                Some(gateway) => format!("{subject} is not a member of gateway {gateway}"),
                None => format!("{subject} is a member of no gateway"),
            });
        }
        warnings.extend(unknown);
        warnings
    }

    /// Returns warnings about a credential that was installed for this owner.
    pub(crate) fn warnings_of_owner(&self, owner: &Owner) -> Vec<String> {
        let Owner::User(user) = owner else {
            return self.unknown_owner(owner).into_iter().collect();
        };
        let has_token = || {
            let tokens = self.built.tokens().list();
            tokens.iter().any(|token| token.subject == *owner)
        };
        let known = *user == self.principal.id
            || self.has_issuers()
            || self.built.directory().knows(owner)
            || has_token();
        let warning = (!known).then(|| format!("user {user} is unknown: they have no token"));
        warning.into_iter().collect()
    }

    fn has_issuers(&self) -> bool {
        let authenticators = self.authenticators();
        authenticators.is_some_and(|all| all.has_issuers())
    }

    /// Returns a warning if the owner is a team that no user can be a member of.
    fn unknown_owner(&self, owner: &Owner) -> Option<String> {
        let Owner::Team(team) = owner else {
            return None;
        };
        if self.built.directory().knows(owner) {
            return None;
        }
        Some(if self.has_issuers() {
            format!(
                "team {team} is not configured: only callers whose token contains it are members"
            )
        } else {
            format!("team {team} is not configured, so it has no members")
        })
    }

    /// Returns whether the subject can use this gateway, or any gateway.
    fn reaches_a_gateway(&self, subject: &Owner, gateway: Option<&GatewayId>) -> bool {
        let Owner::User(user) = subject else {
            return true;
        };
        let principal = Arc::new(Principal::user(user.clone(), "token"));
        let principal = self.built.directory().complete(principal);
        let router = self.built.router();
        let mut gateways = router.gateways().into_iter();
        gateways.any(|one| {
            gateway.is_none_or(|bound| *bound == one) && router.view(&principal, &one).is_ok()
        })
    }
}
