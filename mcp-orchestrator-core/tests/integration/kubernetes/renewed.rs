//! Credentials of a kubeconfig that expire or change: credential plugins, and files that are rewritten.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{
    BoundObjectReference, SelfSubjectReview, TokenRequest, TokenRequestSpec,
};
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::Time};
use kube::api::{DeleteParams, PostParams};
use kube::config::AuthInfo;
use kube::{Api, ResourceExt as _};
use mcp_orchestrator_core::runtime::kubernetes::Access;
use serde_json::{Value, json};

use crate::kubernetes::cluster::{TestNamespace, named, space};

/// Long enough for the API server, which caches the user of a token for some seconds.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(120);
/// The lifetime of the first credentials, as reported by the plugin.
const FIRST_LIFETIME: SignedDuration = SignedDuration::from_secs(4);

/// Returns the user name that the cluster sees; `None` if it does not accept the credentials.
async fn current_user(access: &Access) -> Option<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(access.client().clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await;
    match review {
        Ok(review) => review.status?.user_info?.username,
        Err(kube::Error::Api(status)) if status.code == 401 => None,
        Err(error) => panic!("{error}"),
    }
}

/// Repeats the request until the cluster sees this user.
async fn becomes(access: &Access, wanted: &str) {
    let asked = async {
        while current_user(access).await.as_deref() != Some(wanted) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let became = tokio::time::timeout(RENEWAL_TIMEOUT, asked).await;
    became.unwrap_or_else(|_| panic!("it is not {wanted} within {RENEWAL_TIMEOUT:?}"));
}

impl TestNamespace {
    fn named(&self, account: &str) -> String {
        format!("system:serviceaccount:{}:{account}", self.name)
    }

    /// Opens access with these credentials.
    async fn open_with(&self, auth: AuthInfo) -> Access {
        let mut config = self.config_of(&self.file("none"));
        config.auth_infos[0].auth_info = Some(auth);
        self.open(&config, self.file("kubeconfig")).await
    }

    /// Returns a credential plugin that prints the contents of one file and logs each call in another.
    fn program(&self) -> AuthInfo {
        let script = r#"echo asked >> "$1.asked"; cat "$1""#;
        let arguments = json!(["-c", script, "login", self.printed()]);
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "sh", "args": arguments,
        });
        serde_json::from_value(json!({ "exec": exec })).unwrap()
    }

    fn printed(&self) -> PathBuf {
        self.file("printed")
    }

    /// Sets what the plugin prints.
    fn prints(&self, status: &Value) {
        let credential = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status,
        });
        let new = self.file("new");
        std::fs::write(&new, credential.to_string()).unwrap();
        std::fs::rename(new, self.printed()).unwrap();
    }

    fn asked(&self) -> usize {
        let asked = std::fs::read_to_string(self.file("printed.asked"));
        asked.unwrap().lines().count()
    }

    /// Creates a key, and a certificate for this name that the cluster has signed.
    async fn certificate(&self, name: &str) -> Value {
        let (key, request) = (self.file("key"), self.file("request"));
        let mut openssl = std::process::Command::new("openssl");
        openssl
            .args([
                "req",
                "-new",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args(["-subj", &format!("/CN={name}"), "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&request);
        assert!(openssl.output().unwrap().status.success());
        let wanted = CertificateSigningRequest {
            metadata: named(&format!("{}-{name}", self.name)),
            spec: CertificateSigningRequestSpec {
                request: ByteString(std::fs::read(request).unwrap()),
                signer_name: "kubernetes.io/kube-apiserver-client".to_owned(),
                usages: Some(vec!["client auth".to_owned()]),
                ..CertificateSigningRequestSpec::default()
            },
            ..CertificateSigningRequest::default()
        };
        let requests: Api<CertificateSigningRequest> = Api::all(self.admin.client().clone());
        let create = PostParams::default();
        let mut request = requests.create(&create, &wanted).await.unwrap();
        let approved = CertificateSigningRequestCondition {
            type_: "Approved".to_owned(),
            status: "True".to_owned(),
            reason: Some("Suite".to_owned()),
            message: Some(String::new()),
            last_update_time: Some(Time(Timestamp::now())),
            ..CertificateSigningRequestCondition::default()
        };
        request.status.get_or_insert_default().conditions = Some(vec![approved]);
        let name = request.name_any();
        let approval = requests.replace_subresource("approval", &name, &create, &request);
        let _: CertificateSigningRequest = approval.await.unwrap();
        let certificate = loop {
            let signed = requests.get(&name).await.unwrap().status.unwrap();
            if let Some(certificate) = signed.certificate {
                break String::from_utf8(certificate.0).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        requests
            .delete(&name, &DeleteParams::default())
            .await
            .unwrap();
        let key = std::fs::read_to_string(key).unwrap();
        json!({ "clientCertificateData": certificate, "clientKeyData": key })
    }
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn exec_plugin_is_asked_for_a_new_token_when_the_first_expires() {
    let space = space("exec").await;
    let mut tokens = Vec::new();
    for account in ["first", "second"] {
        let file = space.account(account).await;
        tokens.push(std::fs::read_to_string(file).unwrap());
    }
    let until = (Timestamp::now() + FIRST_LIFETIME).to_string();
    space.prints(&json!({ "token": tokens[0], "expirationTimestamp": until }));
    let access = space.open_with(space.program()).await;
    assert_eq!(
        current_user(&access).await.as_deref(),
        Some(&*space.named("first"))
    );
    space.prints(&json!({ "token": tokens[1] }));
    becomes(&access, &space.named("second")).await;
    // A credential without an expiry is not requested again.
    let asked = space.asked();
    assert_eq!(current_user(&access).await, Some(space.named("second")));
    assert!(asked >= 2 && space.asked() == asked, "{asked}");
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn exec_plugin_can_provide_certificates() {
    let space = space("certificates").await;
    let mut first = space.certificate("suite-first").await;
    first["expirationTimestamp"] = (Timestamp::now() + FIRST_LIFETIME).to_string().into();
    space.prints(&first);
    let access = space.open_with(space.program()).await;
    assert_eq!(current_user(&access).await.as_deref(), Some("suite-first"));
    space.prints(&space.certificate("suite-second").await);
    becomes(&access, "suite-second").await;
    assert!(space.asked() >= 2);
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn rewritten_token_file_is_reread_once_the_old_token_is_rejected() {
    let space = space("token").await;
    let second = space.account("second").await;
    let file = space.account("first").await;
    // A token that is bound to a Secret.
    let (secrets, create) = (space.api::<Secret>(), PostParams::default());
    let secret = Secret {
        metadata: named("bound"),
        ..Secret::default()
    };
    let secret = secrets.create(&create, &secret).await.unwrap();
    let request = TokenRequest {
        spec: TokenRequestSpec {
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Secret".to_owned()),
                name: secret.metadata.name,
                uid: secret.metadata.uid,
            }),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let accounts = space.api::<ServiceAccount>();
    let token = accounts.create_token_request("first", &create, &request);
    let token = token.await.unwrap().status.unwrap().token;
    std::fs::write(&file, token).unwrap();
    let access = space.open_as(&file).await;
    assert_eq!(
        current_user(&access).await.as_deref(),
        Some(&*space.named("first"))
    );
    std::fs::copy(second, &file).unwrap();
    secrets
        .delete("bound", &DeleteParams::default())
        .await
        .unwrap();
    becomes(&access, &space.named("second")).await;
    space.leave().await;
}
