//! The test cluster: a namespace for each test, and accounts with the rights of the Role and no others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding, RoleRef, Subject};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::config::Kubeconfig;
use mcp_orchestrator_core::runtime::kubernetes::{Access, AccessOptions, review, role};

/// Maximum time for a new Role to take effect.
const ROLE_TIMEOUT: Duration = Duration::from_secs(60);

const VARIABLE: &str = "MCP_ORCHESTRATOR_TEST_KUBECONFIG";

/// A namespace for one test.
pub(crate) struct TestNamespace {
    /// Access as the cluster's administrator.
    pub(crate) admin: Access,
    pub(crate) name: String,
    pub(crate) kubeconfig: PathBuf,
    files: tempfile::TempDir,
}

/// Creates a namespace in the cluster that [`VARIABLE`] selects.
pub(crate) async fn space(test: &str) -> TestNamespace {
    let kubeconfig = std::env::var_os(VARIABLE)
        .unwrap_or_else(|| panic!("{VARIABLE} must name the kubeconfig of a cluster"));
    let kubeconfig = PathBuf::from(kubeconfig);
    let mut random = [0; 4];
    getrandom::fill(&mut random).unwrap();
    let name = format!("suite-{test}-{:08x}", u32::from_be_bytes(random));
    let options = AccessOptions {
        kubeconfig: Some(kubeconfig.clone()),
        namespace: Some(name.clone()),
        ..AccessOptions::default()
    };
    let admin = Access::open(&options).await.unwrap();
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.clone());
    let restricted = "pod-security.kubernetes.io/enforce".to_owned();
    namespace.metadata.labels = Some([(restricted, "restricted".to_owned())].into());
    let namespaces: Api<Namespace> = Api::all(admin.client().clone());
    let created = namespaces.create(&PostParams::default(), &namespace).await;
    created.unwrap();
    TestNamespace {
        admin,
        name,
        kubeconfig,
        files: tempfile::tempdir().unwrap(),
    }
}

impl TestNamespace {
    /// Returns the API of this kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.admin.client().clone(), &self.name)
    }

    /// Returns the path of a temporary file that is deleted with the space.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Creates a service account without any rights, and returns the file of its token.
    pub(crate) async fn account(&self, name: &str) -> PathBuf {
        let account = ServiceAccount {
            metadata: named(name),
            ..ServiceAccount::default()
        };
        let accounts: Api<ServiceAccount> = self.api();
        let create = PostParams::default();
        accounts.create(&create, &account).await.unwrap();
        let request = TokenRequest {
            spec: TokenRequestSpec::default(),
            ..TokenRequest::default()
        };
        let token = accounts.create_token_request(name, &create, &request);
        let token = token.await.unwrap().status.unwrap().token;
        let file = self.files.path().join(name);
        std::fs::write(&file, token).unwrap();
        file
    }

    /// Binds the Role of an orchestrator outside the cluster to this account.
    pub(crate) async fn bind(&self, account: &str) {
        self.bind_role(account, false).await;
    }

    /// Binds the Role of an orchestrator inside or outside the cluster to this account.
    pub(crate) async fn bind_role(&self, account: &str, inside: bool) {
        let create = PostParams::default();
        let roles: Api<Role> = self.api();
        let role = role(account, &self.name, inside);
        roles.create(&create, &role).await.unwrap();
        let bindings: Api<RoleBinding> = self.api();
        let binding = RoleBinding {
            metadata: named(account),
            role_ref: RoleRef {
                api_group: "rbac.authorization.k8s.io".to_owned(),
                kind: "Role".to_owned(),
                name: account.to_owned(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: account.to_owned(),
                namespace: Some(self.name.clone()),
                ..Subject::default()
            }]),
        };
        bindings.create(&create, &binding).await.unwrap();
        self.settled(account).await;
    }

    /// Waits until the API server's authorizer, which watches Roles, grants the account its rights.
    async fn settled(&self, account: &str) {
        let access = self.open_as(&self.file(account)).await;
        let granted = async {
            while review(&access)
                .await
                .unwrap()
                .iter()
                .any(|denied| denied.resource == "configmaps")
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(ROLE_TIMEOUT, granted).await;
        waited.expect("the account gets its rights");
    }

    /// Returns a kubeconfig for the account of this token file.
    pub(crate) fn config_of(&self, token: &Path) -> Kubeconfig {
        let mut config = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let user = config.auth_infos[0].auth_info.as_mut().unwrap();
        *user = kube::config::AuthInfo {
            token_file: Some(token.display().to_string()),
            ..kube::config::AuthInfo::default()
        };
        config
    }

    /// Opens access to the cluster as the account of this token file.
    pub(crate) async fn open_as(&self, token: &Path) -> Access {
        let file = token.with_extension("kubeconfig");
        self.open(&self.config_of(token), file).await
    }

    /// Writes this kubeconfig to the file and opens access with it.
    pub(crate) async fn open(&self, config: &Kubeconfig, file: PathBuf) -> Access {
        std::fs::write(&file, serde_json::to_vec(config).unwrap()).unwrap();
        let options = AccessOptions {
            kubeconfig: Some(file),
            namespace: Some(self.name.clone()),
            ..AccessOptions::default()
        };
        Access::open(&options).await.unwrap()
    }

    /// Deletes the namespace.
    pub(crate) async fn leave(self) {
        let namespaces: Api<Namespace> = Api::all(self.admin.client().clone());
        let deleted = namespaces
            .delete(&self.name, &DeleteParams::default())
            .await;
        deleted.unwrap();
    }
}

pub(crate) fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}
