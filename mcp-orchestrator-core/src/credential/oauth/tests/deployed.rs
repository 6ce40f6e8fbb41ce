//! Servers without OAuth settings in their entry.

use serde_json::json;

use super::renewal::Process;
use super::*;
use crate::credential::Credential;
use crate::error::ErrorKind;

fn silent(setting: &Setting) -> ServerSpec {
    let url = setting.fake.server_url().parse().unwrap();
    ServerSpec::remote(ServerId::new("jira").unwrap(), url).with_oauth_if_refused()
}

#[tokio::test]
async fn rejected_call_without_a_token_marks_the_server_as_protected() {
    let setting = Setting::new().await;
    let server = silent(&setting);
    let process = Process::on(&setting).await;
    let found = process.resolve(&server, None).await.unwrap();
    assert!(found.is_none() && server.is_open());
    assert_eq!(setting.fake.count("probe"), 0, "nobody asks before that");
    let none = Credential::none();
    let refused = Some((&none.revision, none.generation));
    let error = process.resolve(&server, refused).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CredentialMissing);
    assert!(error.to_string().contains("OAuth"), "{error}");
    let error = process.resolve(&server, None).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::CredentialMissing,
        "it is known now"
    );
    let finished = setting.sign_in(&server).await.unwrap();
    let installations = setting.installations();
    installations
        .put(
            &key(),
            &finished.credential,
            crate::credential::Precondition::Absent,
        )
        .await
        .unwrap();
    process.resolver.seen(&key()).await.unwrap();
    assert_eq!(process.token(&server).await, "access-1");
}

#[tokio::test]
async fn rejection_without_metadata_is_no_token_demand() {
    let setting = Setting::new().await;
    setting.fake.state().challenge = Some("Bearer".into());
    let prefix = "/.well-known/oauth-protected-resource";
    setting.fake.state().missing.insert(format!("{prefix}/mcp"));
    let server = silent(&setting);
    let process = Process::on(&setting).await;
    let none = Credential::none();
    let refused = Some((&none.revision, none.generation));
    let found = process.resolve(&server, refused).await.unwrap();
    assert!(found.is_none() && server.is_open());
    // The same if the metadata leads nowhere.
    setting.fake.state().missing.clear();
    setting.fake.state().resource_metadata = json!({"authorization_servers": ["http://10.0.0.1"]});
    let found = process.resolve(&server, refused).await.unwrap();
    assert!(found.is_none() && server.is_open());
    // But the reason why sign-in is impossible is known.
    let refusals = server.oauth.as_ref().unwrap().refusals().unwrap();
    let obstacle = refusals.obstacle().unwrap();
    assert!(obstacle.contains("10.0.0.1"), "{obstacle}");
}
