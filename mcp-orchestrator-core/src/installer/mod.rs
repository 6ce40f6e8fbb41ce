//! The installer: decides who may install which server of the catalog for which owner, and turns values into a
//! verified credential.

mod info;
#[cfg(feature = "oauth")]
mod sign_in;
mod tested;
mod values;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;

pub use self::info::{Actor, CatalogEntry, InstallationInfo, Renewing};
use crate::audit::{Action, AuditEvent, Recording};
use crate::auth::{Directory, PrincipalKind};
use crate::credential::{
    Credential, Generation, InstallationKey, InstalledResolver, LinkId, Links, Owner, Precondition,
    Revision, StoredCredential,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ServerId, SlotName};
use crate::orchestrator::Orchestrator;
use crate::router::{Router as _, TableRouter};
use crate::server::ServerSpec;

/// A credential to be installed.
#[derive(Debug)]
pub struct NewInstallation {
    /// The server and the owner.
    pub key: InstallationKey,
    /// The values of its slots.
    pub values: BTreeMap<SlotName, SecretString>,
    /// When the values expire, if known.
    pub expires_at: Option<SystemTime>,
    /// Whether to replace an existing installation. Slots without a new value then keep their old one.
    pub rotate: bool,
    /// Whether to start an instance with the credential before storing it.
    pub check: bool,
}

/// Installs credentials: checks permissions and values, tries the credential, and stores it.
pub struct Installer {
    orchestrator: Orchestrator,
    router: Arc<TableRouter>,
    installed: Arc<InstalledResolver>,
    directory: Arc<Directory>,
    #[cfg(feature = "oauth")]
    sign_ins: Option<crate::credential::Authorizations>,
}

/// A credential to be stored.
struct Prepared<'l> {
    key: InstallationKey,
    spec: Arc<ServerSpec>,
    stored: StoredCredential,
    precondition: Precondition,
    check: bool,
    link: Option<ByLink<'l>>,
}

/// The setup link that an installation uses up.
pub type ByLink<'l> = (&'l Links, &'l LinkId);

impl Installer {
    /// Creates an installer for this orchestrator's catalog.
    pub fn new(
        orchestrator: Orchestrator,
        router: Arc<TableRouter>,
        installed: Arc<InstalledResolver>,
        directory: Arc<Directory>,
    ) -> Self {
        Self {
            orchestrator,
            router,
            installed,
            directory,
            #[cfg(feature = "oauth")]
            sign_ins: None,
        }
    }

    /// Returns a server of the catalog.
    pub fn server(&self, id: &ServerId) -> Option<Arc<ServerSpec>> {
        self.orchestrator.server(id)
    }

    /// Returns the servers with slots that some gateway shows to this caller, ordered by name. Admins see all
    /// servers.
    pub fn catalog(&self, actor: &Actor) -> Vec<CatalogEntry> {
        let seen = self.seen(actor);
        let servers = self.orchestrator.servers().into_iter();
        let servers = servers.filter(|id| actor.admin || seen.contains(id));
        let specs = servers.filter_map(|id| self.orchestrator.server(&id));
        let needing = specs.filter(|spec| !spec.slots.is_empty());
        needing
            .map(|server| CatalogEntry {
                owners: self.owners(actor, &server),
                server,
            })
            .collect()
    }

    /// Returns the installations that concern this caller: its own, and those of its teams and of the organization
    /// for servers that some gateway shows to it. Admins see all installations. Installations that cannot be read are
    /// omitted and logged.
    ///
    /// # Errors
    /// None at present: the list comes from the resolver's snapshot, not from the store.
    pub async fn installations(&self, actor: &Actor) -> Result<Vec<InstallationInfo>> {
        let (seen, mut infos) = (self.seen(actor), Vec::new());
        for (key, known) in self.installed.known() {
            let own = key.owner == Owner::User(actor.principal.id.clone());
            let shown = own || actor.uses(&key.owner) && seen.contains(&key.server);
            if !actor.admin && !shown {
                continue;
            }
            match known {
                Ok(known) => {
                    let spec = self.orchestrator.server(&key.server);
                    infos.push(InstallationInfo::known(key, &known, spec.as_deref()));
                }
                Err(error) => tracing::debug!(%error, "an installation cannot be listed"),
            }
        }
        Ok(infos)
    }

    /// Installs a credential, or replaces an existing one.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) if the caller cannot see the server; [`Forbidden`](ErrorKind::Forbidden) if it
    /// may not install for this owner; [`InvalidParams`](ErrorKind::InvalidParams) if the values do not fit;
    /// [`Conflict`](ErrorKind::Conflict) if an installation exists already, or none exists that could be replaced;
    /// otherwise the reason why the credential does not work. Nothing is stored in any of these cases.
    pub async fn install(&self, actor: &Actor, new: NewInstallation) -> Result<InstallationInfo> {
        self.install_once(actor, new, None).await
    }

    /// Same as [`install`](Self::install), but uses up a setup link once the values have been verified. Of several
    /// concurrent calls with one link exactly one installs.
    ///
    /// # Errors
    /// Same as [`install`](Self::install), and [`NoRoute`](ErrorKind::NoRoute) if the link was used or has expired.
    pub async fn install_by_link(
        &self,
        actor: &Actor,
        new: NewInstallation,
        link: ByLink<'_>,
    ) -> Result<InstallationInfo> {
        self.install_once(actor, new, Some(link)).await
    }

    async fn install_once(
        &self,
        actor: &Actor,
        new: NewInstallation,
        link: Option<ByLink<'_>>,
    ) -> Result<InstallationInfo> {
        let action = if new.rotate {
            Action::Rotate
        } else {
            Action::Install
        };
        let recording = self.recording(actor, action, &new.key);
        let installed = self.install_one(actor, new, link).await;
        recording.end(&installed);
        installed
    }

    async fn install_one(
        &self,
        actor: &Actor,
        new: NewInstallation,
        link: Option<ByLink<'_>>,
    ) -> Result<InstallationInfo> {
        let spec = self.allowed(actor, &new.key)?;
        let (precondition, before) = self.before(&new).await?;
        let stored = StoredCredential {
            revision: Revision::new(format!("r{}", crate::seal::random_text(9))),
            generation: Generation::default(),
            values: values::complete(&spec, before.as_ref(), new.values)?,
            settings: info::settings(actor),
            expires_at: new.expires_at,
            renewal: None,
        };
        let prepared = Prepared {
            key: new.key,
            spec,
            stored,
            precondition,
            check: new.check,
            link,
        };
        self.store(actor, prepared).await
    }

    /// Tries a credential and stores it. If it does not work, nothing is stored and its instances are stopped.
    async fn store(&self, actor: &Actor, prepared: Prepared<'_>) -> Result<InstallationInfo> {
        let Prepared {
            key,
            spec,
            stored,
            precondition,
            check,
            link,
        } = prepared;
        let candidate = Arc::new(Credential {
            owner: key.owner.clone(),
            revision: stored.revision.clone(),
            generation: stored.generation,
            values: stored.values.clone(),
            expires_at: stored.expires_at,
        });
        let mut tried = Trial {
            orchestrator: &self.orchestrator,
            server: key.server.clone(),
            candidate,
            kept: false,
        };
        if check {
            let (principal, candidate) = (&actor.principal, &tried.candidate);
            let trying = self
                .orchestrator
                .try_credential(principal, &key.server, candidate);
            trying.await?;
        }
        if let Some((links, id)) = link
            && !links.take(id).await?
        {
            let text = "this link was used meanwhile, or has ended";
            return Err(Error::new(ErrorKind::NoRoute, text).with_server(&key.server));
        }
        let installations = self.installed.installations();
        installations.put(&key, &stored, precondition).await?;
        tried.kept = true;
        self.installed.seen(&key).await?;
        tracing::info!(server = %key.server, owner = %key.owner, by = %actor.principal.id, "installed");
        Ok(InstallationInfo::new(key, &stored, Some(&spec)))
    }

    /// Removes an installation and stops its instances immediately.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) if nothing is installed; [`Forbidden`](ErrorKind::Forbidden) if the caller may
    /// not manage the owner's credentials; any error of the store.
    pub async fn uninstall(&self, actor: &Actor, key: &InstallationKey) -> Result<()> {
        let recording = self.recording(actor, Action::Uninstall, key);
        let removed = self.uninstall_one(actor, key).await;
        recording.end(&removed);
        removed
    }

    fn recording(&self, actor: &Actor, action: Action, key: &InstallationKey) -> Recording {
        let mut event = AuditEvent::new(Some(actor.principal.id.clone()), action);
        event.server = Some(key.server.clone());
        event.owner = Some(key.owner.clone());
        self.orchestrator.audit().begin(event)
    }

    async fn uninstall_one(&self, actor: &Actor, key: &InstallationKey) -> Result<()> {
        self.may_manage(actor, &key.owner)?;
        let installations = self.installed.installations();
        if !installations.delete(key, Precondition::Any).await? {
            return Err(nothing(key));
        }
        self.installed.seen(key).await?;
        tracing::info!(server = %key.server, owner = %key.owner, by = %actor.principal.id, "uninstalled");
        Ok(())
    }

    /// Returns the precondition of the write, and the existing installation to be replaced.
    async fn before(
        &self,
        new: &NewInstallation,
    ) -> Result<(Precondition, Option<StoredCredential>)> {
        let (server, owner) = (&new.key.server, &new.key.owner);
        let found = self.installed.installations().get(&new.key).await?;
        let text = match (found, new.rotate) {
            (None, false) => return Ok((Precondition::Absent, None)),
            (Some((stored, version)), true) => {
                return Ok((Precondition::Unchanged(version), Some(stored)));
            }
            (Some(_), false) => {
                format!("server {server} is installed for {owner} already: rotate it")
            }
            (None, true) => format!("server {server} is not installed for {owner}: install it"),
        };
        Err(Error::new(ErrorKind::Conflict, text).with_server(server))
    }

    fn allowed(&self, actor: &Actor, key: &InstallationKey) -> Result<Arc<ServerSpec>> {
        let seen = actor.admin || self.seen(actor).contains(&key.server);
        let Some(spec) = self.orchestrator.server(&key.server).filter(|_| seen) else {
            let text = format!("unknown server {}", key.server);
            return Err(Error::new(ErrorKind::NoRoute, text).with_server(&key.server));
        };
        self.may_manage(actor, &key.owner)?;
        let refuse = |kind, text: String| Err(Error::new(kind, text).with_server(&key.server));
        if spec.slots.is_empty() {
            let text = format!("server {} needs no credential", key.server);
            return refuse(ErrorKind::InvalidParams, text);
        }
        if !spec.install.contains(&key.owner.kind()) {
            let (server, kind) = (&key.server, key.owner.kind().as_str());
            let text =
                format!("the catalog does not let server {server} be installed for a {kind}");
            return refuse(ErrorKind::Forbidden, text);
        }
        Ok(spec)
    }

    fn may_manage(&self, actor: &Actor, owner: &Owner) -> Result<()> {
        if actor.admin || self.directory.manages(&actor.principal, owner) {
            return Ok(());
        }
        let text = match owner {
            Owner::User(_) => format!("what is of {owner} only that user or an admin may change"),
            Owner::Team(_) => {
                format!("what is of {owner} only its managers or an admin may change")
            }
            Owner::Organization => {
                "only an admin can change the organization's credentials".to_owned()
            }
        };
        Err(Error::new(ErrorKind::Forbidden, text))
    }

    /// Returns the owners that the caller may install a server for, starting with the caller itself.
    fn owners(&self, actor: &Actor, server: &ServerSpec) -> Vec<Owner> {
        let principal = &actor.principal;
        let own =
            (principal.kind == PrincipalKind::User).then(|| Owner::User(principal.id.clone()));
        let teams = principal.teams.iter().cloned().map(Owner::Team);
        let all = own.into_iter().chain(teams).chain([Owner::Organization]);
        all.filter(|owner| server.install.contains(&owner.kind()))
            .filter(|owner| self.may_manage(actor, owner).is_ok())
            .collect()
    }

    /// Returns the servers that some gateway shows to the caller.
    fn seen(&self, actor: &Actor) -> HashSet<ServerId> {
        let gateways = self.router.gateways().into_iter();
        let views =
            gateways.filter_map(|gateway| self.router.view(&actor.principal, &gateway).ok());
        let entries = views.flat_map(|view| view.entries.clone());
        entries.map(|entry| entry.server).collect()
    }
}

fn nothing(key: &InstallationKey) -> Error {
    let (server, owner) = (&key.server, &key.owner);
    let text = format!("nothing of server {server} is installed for {owner}");
    Error::new(ErrorKind::NoRoute, text).with_server(server)
}

/// A credential being tried. Unless it was stored, its instances are stopped on drop, also if the caller was dropped.
struct Trial<'a> {
    orchestrator: &'a Orchestrator,
    server: ServerId,
    candidate: Arc<Credential>,
    kept: bool,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if !self.kept && tokio::runtime::Handle::try_current().is_ok() {
            self.orchestrator
                .forget_credential(&self.server, &self.candidate);
        }
    }
}

impl fmt::Debug for Installer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installer").finish_non_exhaustive()
    }
}
