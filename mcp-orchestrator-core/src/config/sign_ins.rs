//! Who signs people in at upstream servers' issuers, and who renews what comes of it: made from settings, where this program
//! was built with it.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::Settings;
use crate::credential::{Installations, InstalledResolver};
use crate::error::Result;
use crate::installer::Installer;

#[cfg(feature = "oauth")]
mod built {
    use std::time::Duration;

    use super::{Arc, Installations, InstalledResolver, Installer, Result, Settings, TaskTracker};
    use crate::credential::{Authorizations, OAuthOptions, Renewals};
    use crate::fetch::AddressGuard;

    /// For renewals that began to come to their end.
    const GRACE: Duration = Duration::from_secs(10);

    #[derive(Debug)]
    pub(in crate::config) struct SignIns {
        authorizations: Authorizations,
        renewals: Arc<Renewals>,
    }

    impl Settings {
        /// What is installed, renewed where it can be.
        pub(in crate::config) async fn installed(
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
        /// An installer that signs people in.
        pub(in crate::config) fn join(&self, installer: Installer) -> Installer {
            installer.with_sign_ins(self.authorizations.clone())
        }

        /// Lets renewals that began come to their end.
        pub(in crate::config) async fn finish(&self) {
            self.renewals.finish(GRACE).await;
        }
    }
}

#[cfg(not(feature = "oauth"))]
mod built {
    use super::{Arc, Installations, InstalledResolver, Installer, Result, Settings, TaskTracker};

    #[derive(Debug)]
    pub(in crate::config) struct SignIns;

    impl Settings {
        /// What is installed; nothing of it is renewed.
        pub(in crate::config) async fn installed(
            &self,
            installations: Installations,
            tasks: &TaskTracker,
        ) -> Result<(Arc<InstalledResolver>, SignIns)> {
            let installed = InstalledResolver::open(installations, tasks).await?;
            Ok((installed, SignIns))
        }
    }

    impl SignIns {
        pub(in crate::config) fn join(&self, installer: Installer) -> Installer {
            installer
        }

        pub(in crate::config) async fn finish(&self) {
            std::future::ready(()).await;
        }
    }
}

pub(super) use self::built::SignIns;
