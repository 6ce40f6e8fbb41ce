//! The real cluster: a namespace for each test, and an account with no more rights than the Role gives.

use std::path::{Path, PathBuf};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding, RoleRef, Subject};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::config::Kubeconfig;
use mcp_orchestrator_core::runtime::kubernetes::{Access, AccessOptions, role};

const VARIABLE: &str = "MCP_ORCHESTRATOR_TEST_KUBECONFIG";

/// A namespace of this test alone.
pub(crate) struct Space {
    /// As the cluster's administrator.
    pub(crate) admin: Access,
    pub(crate) name: String,
    pub(crate) kubeconfig: PathBuf,
    files: tempfile::TempDir,
}

/// The namespace, in the cluster that the variable names.
pub(crate) async fn space(test: &str) -> Space {
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
    Space {
        admin,
        name,
        kubeconfig,
        files: tempfile::tempdir().unwrap(),
    }
}

impl Space {
    /// Objects of this namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.admin.client().clone(), &self.name)
    }

    /// A file that is gone with this.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A service account without any right, and its token's file.
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

    /// Binds the Role of an orchestrator outside of the cluster to this account.
    pub(crate) async fn bind(&self, account: &str) {
        self.bind_role(account, false).await;
    }

    /// Binds the Role of an orchestrator inside or outside of the cluster to this account.
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
    }

    /// A kubeconfig of the account of this token's file.
    pub(crate) fn config_of(&self, token: &Path) -> Kubeconfig {
        let mut config = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let user = config.auth_infos[0].auth_info.as_mut().unwrap();
        *user = kube::config::AuthInfo {
            token_file: Some(token.display().to_string()),
            ..kube::config::AuthInfo::default()
        };
        config
    }

    /// The way to the cluster as the account of this token's file.
    pub(crate) async fn open_as(&self, token: &Path) -> Access {
        let file = token.with_extension("kubeconfig");
        self.open(&self.config_of(token), file).await
    }

    /// The way to the cluster as this says, which is written to the file first.
    pub(crate) async fn open(&self, config: &Kubeconfig, file: PathBuf) -> Access {
        std::fs::write(&file, serde_json::to_vec(config).unwrap()).unwrap();
        let options = AccessOptions {
            kubeconfig: Some(file),
            namespace: Some(self.name.clone()),
            ..AccessOptions::default()
        };
        Access::open(&options).await.unwrap()
    }

    /// Takes the namespace away.
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
