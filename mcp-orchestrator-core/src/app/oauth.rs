//! Signs people in at the issuers of upstream servers, and renews the resulting credentials, if this program was built
//! with OAuth.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::config::Settings;
use crate::credential::{Installations, InstalledResolver};
use crate::error::Result;
use crate::installer::Installer;

#[cfg(feature = "oauth")]
mod built {
    use std::time::Duration;

    use super::{Arc, Installations, InstalledResolver, Installer, Result, Settings, TaskTracker};
    use crate::credential::{Authorizations, OAuthOptions, Renewals};
    use crate::fetch::AddressGuard;

    /// Time that renewals in progress get to finish.
    const GRACE: Duration = Duration::from_secs(10);

    #[derive(Debug)]
    pub(crate) struct SignIns {
        authorizations: Authorizations,
        renewals: Arc<Renewals>,
    }

    impl Settings {
        /// Returns the resolver of installed credentials, which renews them where possible.
        pub(crate) async fn installed(
            &self,
            installations: Installations,
            tasks: &TaskTracker,
        ) -> Result<(Arc<InstalledResolver>, SignIns)> {
            let options = OAuthOptions {
                public_url: self.auth.public_url.clone(),
                guard: AddressGuard::new(self.allow_private.iter().cloned()),
                connector: self.outbound.connector(),
                ..OAuthOptions::default()
            };
            let renewals = Arc::new(Renewals::new(installations.clone(), options.clone()));
            let authorizations = Authorizations::new(installations.clone(), options);
            let renewal = Arc::<Renewals>::clone(&renewals);
            let installed = InstalledResolver::open_renewing(installations, renewal, tasks).await?;
            let sign_ins = SignIns {
                authorizations,
                renewals,
            };
            Ok((installed, sign_ins))
        }
    }

    impl SignIns {
        /// Adds sign-ins to an installer.
        pub(crate) fn join(&self, installer: Installer) -> Installer {
            installer.with_sign_ins(self.authorizations.clone())
        }

        /// Waits for renewals in progress.
        pub(crate) async fn finish(&self) {
            self.renewals.finish(GRACE).await;
        }
    }
}

#[cfg(not(feature = "oauth"))]
mod built {
    use super::{Arc, Installations, InstalledResolver, Installer, Result, Settings, TaskTracker};

    #[derive(Debug)]
    pub(crate) struct SignIns;

    impl Settings {
        /// Returns the resolver of installed credentials; nothing is renewed.
        pub(crate) async fn installed(
            &self,
            installations: Installations,
            tasks: &TaskTracker,
        ) -> Result<(Arc<InstalledResolver>, SignIns)> {
            let installed = InstalledResolver::open(installations, tasks).await?;
            Ok((installed, SignIns))
        }
    }

    impl SignIns {
        pub(crate) fn join(&self, installer: Installer) -> Installer {
            installer
        }

        pub(crate) async fn finish(&self) {
            std::future::ready(()).await;
        }
    }
}

pub(crate) use self::built::SignIns;
