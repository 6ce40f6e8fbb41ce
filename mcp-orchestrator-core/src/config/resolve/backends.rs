//! Backends: which one runs a server, and the pod defaults that apply to it.

use crate::config::options::{BackendOptions, LoadOptions};
use crate::config::resolve::check::kubernetes;
use crate::config::resolve::scope::Scope;
use crate::config::resolve::server::egress;
use crate::config::resolve::server::pod;
use crate::config::schema::file::File;
use crate::config::schema::kubernetes::{BackendEntry, KubernetesEntry, PodDefaultsEntry};
use crate::config::settings::backends::{BackendKind, BackendSettings, KubernetesSettings};
use crate::config::source::suggest;
use crate::id::BackendName;
use crate::server::{Container, Egress, Launch, ServerSpec};

/// An environment variable that Kubernetes sets in every pod.
const POD_VARIABLE: &str = "KUBERNETES_SERVICE_HOST";

/// The backend configuration of all files together.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    default: Option<BackendKind>,
    registered: Vec<BackendName>,
    allow_processes: bool,
    inside: bool,
    kubernetes: KubernetesSettings,
    pods: Container,
    egress: Option<Egress>,
}

impl Backends {
    pub(crate) fn new(options: &LoadOptions) -> Self {
        Self {
            inside: options.variables.get(POD_VARIABLE).is_some(),
            registered: options.backends.registered.clone(),
            ..Self::default()
        }
    }

    /// Applies the entries of a file; a later file replaces an earlier one.
    pub(crate) fn apply(&mut self, scope: &mut Scope<'_>, file: &File) {
        self.allow_processes = file.allow_processes.unwrap_or(self.allow_processes);
        let named = file.backend.as_ref();
        if let Some(backend) = named.and_then(|named| self.named(scope, named)) {
            if self.default.as_ref().is_some_and(|known| *known != backend) {
                scope.notice("backend", "also set in an earlier file; this value is used");
            }
            self.default = Some(backend);
        }
        if let Some(entry) = &file.kubernetes {
            let path = scope.path.key("kubernetes");
            self.cluster(&mut scope.below(path), entry);
        }
    }

    fn cluster(&mut self, scope: &mut Scope<'_>, entry: &KubernetesEntry) {
        let known = &mut self.kubernetes;
        let kubeconfig = scope.plain("kubeconfig", entry.kubeconfig.as_ref());
        let kubeconfig = kubeconfig.map(|file| scope.source.resolve(&file));
        known.kubeconfig = kubeconfig.or(known.kubeconfig.take());
        let context = scope.plain("context", entry.context.as_ref());
        known.context = context.or(known.context.take());
        if let Some(namespace) = scope.plain("namespace", entry.namespace.as_ref()) {
            let path = scope.path.key("namespace");
            scope.check(&path, kubernetes::label_name(&namespace));
            known.namespace = Some(namespace);
        }
        if let Some(name) = scope.plain("name", entry.name.as_ref()) {
            let path = scope.path.key("name");
            scope.check(&path, kubernetes::label_name(&name));
            known.name = name;
        }
        let base = scope.plain("base_image", entry.base_image.as_ref());
        known.base_image = base.or(known.base_image.take());
        if let Some(labels) = &entry.gateway {
            known.gateway = pod::labels(scope, "gateway", labels);
        }
        if let Some(defaults) = &entry.defaults {
            let path = scope.path.key("defaults");
            self.defaults(&mut scope.below(path), defaults);
        }
    }

    fn defaults(&mut self, scope: &mut Scope<'_>, entry: &PodDefaultsEntry) {
        if let Some(resources) = &entry.resources {
            self.pods.resources = pod::resources(scope, resources);
        }
        if let Some(labels) = &entry.node_selector {
            self.pods.node_selector = pod::labels(scope, "node_selector", labels);
        }
        if let Some(tolerations) = &entry.tolerations {
            self.pods.tolerations = pod::mappings(scope, "tolerations", tolerations);
        }
        if let Some(secrets) = &entry.pull_secrets {
            self.pods.pull_secrets = pod::pull_secrets(scope, secrets);
        }
        if entry.egress.is_some() {
            self.egress = Some(egress::egress(scope, entry.egress.as_ref()));
        }
    }

    /// Applies the options from outside the files, which take precedence.
    pub(crate) fn override_with(&mut self, options: &BackendOptions) {
        let options = options.clone();
        self.default = options.backend.or(self.default.take());
        let known = &mut self.kubernetes;
        known.kubeconfig = options.kubeconfig.or(known.kubeconfig.take());
        known.context = options.context.or(known.context.take());
        known.namespace = options.namespace.or(known.namespace.take());
    }

    /// Returns the default backend.
    fn default_backend(&self) -> BackendKind {
        let processes = cfg!(feature = "process") && (!self.inside || self.allow_processes);
        let best = if processes || !cfg!(feature = "kubernetes") {
            BackendKind::Process
        } else {
            BackendKind::Kubernetes
        };
        self.default.clone().unwrap_or(best)
    }

    /// Returns the backend of this name. Reports a problem at the key `backend` if this program does not have it.
    fn named(&self, scope: &mut Scope<'_>, entry: &BackendEntry) -> Option<BackendKind> {
        let known = BackendKind::BUILT_IN
            .into_iter()
            .chain(self.registered.iter().cloned().map(BackendKind::Registered));
        let known: Vec<BackendKind> = known.collect();
        let Some(backend) = known.iter().find(|known| known.as_str() == entry.0) else {
            let names: Vec<&str> = known.iter().map(BackendKind::as_str).collect();
            let meant = suggest::nearest(&entry.0, names.iter().copied());
            let meant = meant.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
            let text = format!("must be one of {}{meant}", names.join(", "));
            scope.problem("backend", text);
            return None;
        };
        if !backend.is_built_in() {
            let text = format!("this program was built without the {backend} backend");
            scope.problem("backend", text);
        }
        Some(backend.clone())
    }

    /// Returns the backend that runs a program, and reports any problem with it.
    pub(crate) fn backend_of(
        &self,
        scope: &mut Scope<'_>,
        named: Option<&BackendEntry>,
    ) -> BackendKind {
        let known = named.and_then(|named| self.named(scope, named));
        let backend = known.unwrap_or_else(|| self.default_backend());
        if backend == BackendKind::Process && self.inside && !self.allow_processes {
            let key = if named.is_some() { "backend" } else { "" };
            scope.problem(
                key,
                "inside a cluster no process is started, since it would share the gateway's pod: let it run as a pod by \
                 `backend: kubernetes`, or allow processes by `allow_processes: true` at the top of the file",
            );
        }
        backend
    }

    /// Returns `true` if a server runs in a pod.
    pub(crate) fn is_pod(&self, server: &ServerSpec) -> bool {
        let pod = BackendKind::Kubernetes;
        match &server.backend {
            Some(named) => *named == pod.name(),
            None => self.default_backend() == pod,
        }
    }

    /// Returns the egress rule of a program that configures none.
    pub(crate) fn egress(&self, backend: &BackendKind) -> Egress {
        match (backend, &self.egress) {
            (BackendKind::Kubernetes, Some(egress)) => egress.clone(),
            _ => Egress::default(),
        }
    }

    /// Applies the pod defaults to a container.
    pub(crate) fn apply_defaults(&self, container: &mut Container) {
        let resources = &mut container.resources;
        for (own, all) in [
            (&mut resources.requests, &self.pods.resources.requests),
            (&mut resources.limits, &self.pods.resources.limits),
        ] {
            for (name, quantity) in all {
                own.entry(name.clone()).or_insert_with(|| quantity.clone());
            }
        }
        for (name, value) in &self.pods.node_selector {
            let own = container.node_selector.entry(name.clone());
            own.or_insert_with(|| value.clone());
        }
        let tolerations = self.pods.tolerations.iter().cloned();
        container.tolerations.extend(tolerations);
        let secrets = self.pods.pull_secrets.iter().cloned();
        container.pull_secrets.extend(secrets);
    }

    /// Returns whether this process runs in a cluster, and the cluster of the credential store.
    pub(crate) fn store_cluster(&self) -> (bool, &KubernetesSettings) {
        (self.inside, &self.kubernetes)
    }

    /// Returns the configured image for commands without an image.
    pub(crate) fn base_image(&self) -> Option<&str> {
        self.kubernetes.base_image.as_deref()
    }

    /// Returns the settings of the backends that these servers need.
    pub(crate) fn settings<'s>(
        self,
        mut servers: impl Iterator<Item = &'s ServerSpec>,
    ) -> BackendSettings {
        let default = self.default_backend();
        let named = |server: &ServerSpec| {
            matches!(server.launch, Launch::Program(_))
                && server.backend == Some(BackendKind::Kubernetes.name())
        };
        let used = default == BackendKind::Kubernetes || servers.any(named);
        BackendSettings {
            default,
            processes: !self.inside || self.allow_processes,
            kubernetes: used.then_some(self.kubernetes),
        }
    }
}
