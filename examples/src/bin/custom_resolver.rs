//! A custom credential resolver: two people share one server that needs a token, and each gets an instance with their
//! own token. A third person without a token gets an error, and no instance starts.
//!
//! `cargo run -p mcp-orchestrator-examples --bin custom_resolver`

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::credential::{
    Credential, CredentialRequest, CredentialResolver, Generation, Owner, Revision,
};
use mcp_orchestrator_core::id::{PrincipalId, SlotName};
use mcp_orchestrator_core::router::{GatewaySpec, TableRouter};
use mcp_orchestrator_core::runtime::ProcessBackend;
use mcp_orchestrator_core::server::{CredentialSlot, Injection, SlotForm};
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};
use mcp_orchestrator_examples::{Failure, direct, hello};
use secrecy::SecretString;
use serde_json::json;

/// A person's token, and its version.
struct Entry {
    version: u32,
    token: SecretString,
}

/// A vault of personal tokens; a real one would query a service here.
struct Vault(HashMap<PrincipalId, Entry>);

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[async_trait]
impl CredentialResolver for Vault {
    async fn resolve(&self, request: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        let caller = &request.principal.id;
        let owner = Owner::User(caller.clone());
        let mut owners = request.rule.owners(request.principal);
        if !owners.any(|allowed| allowed == owner) {
            // The rule asks for another owner's credential, which another resolver may have.
            return Ok(None);
        }
        let server = request.server;
        let Some(entry) = self.0.get(caller) else {
            let text = format!(
                "you have no token for {}: put one into the vault",
                server.id
            );
            return Err(Error::new(ErrorKind::CredentialMissing, text).with_server(&server.id));
        };
        let revision = Revision::new(format!("v{}", entry.version));
        if request
            .rejected
            .is_some_and(|(refused, _)| *refused == revision)
        {
            let text = format!("{} refuses your token: renew it", server.id);
            return Err(Error::new(ErrorKind::CredentialRejected, text).with_server(&server.id));
        }
        let slots = server.slots.iter().map(|slot| slot.name.clone());
        let values: BTreeMap<_, _> = slots.map(|name| (name, entry.token.clone())).collect();
        Ok(Some(Arc::new(Credential {
            // Owner and revision become part of the instance's key, so no other caller gets this instance.
            owner,
            revision,
            generation: Generation::default(),
            values,
            expires_at: None,
        })))
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it tells what it does")]
async fn main() -> Result<(), Failure> {
    hello::serve_if_asked();

    let mut server = hello::server("hello")?;
    server.slots.push(CredentialSlot {
        name: SlotName::new("token")?,
        description: Some("A personal token".into()),
        required: true,
        inject: Injection::Env(hello::TOKEN.into()),
        form: SlotForm::default(),
    });
    let person = |name: &str| -> Result<_, Failure> {
        Ok(Arc::new(Principal::user(
            PrincipalId::new(name)?,
            "example",
        )))
    };
    let (ann, bob, eve) = (person("ann")?, person("bob")?, person("eve")?);
    let entry = |token: &str| Entry {
        version: 1,
        token: token.into(),
    };
    let vault = Vault(HashMap::from([
        (ann.id.clone(), entry("ann-at-hello:first secret")),
        (bob.id.clone(), entry("bob-at-hello:second secret")),
    ]));

    let state = tempfile::tempdir()?;
    let backend = Arc::new(ProcessBackend::new(state.path()));
    let table = Arc::new(TableRouter::new([GatewaySpec::of_all([&server])]));
    let orchestrator = Orchestrator::builder(backend, table)
        .resolver(Arc::new(vault))
        .build();
    orchestrator.apply([Arc::new(server)]);

    for caller in [&ann, &bob, &ann, &eve] {
        match direct::call(&orchestrator, caller, "whoami", json!({})).await {
            Ok(text) => println!("{} calls whoami  -> {text}", caller.id),
            Err(error) => println!("{} calls whoami  -> error: {error}", caller.id),
        }
    }
    for instance in orchestrator.instances().await {
        println!("instance of {}: {:?}", instance.owner, instance.state);
    }

    orchestrator.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::credential::CredentialRule;
    use mcp_orchestrator_core::testing::credential::resolver;

    use super::*;

    #[tokio::test]
    async fn vault_keeps_the_resolver_contract() -> Result<(), Failure> {
        let server = hello::server("hello")?;
        let ann = Principal::user(PrincipalId::new("ann")?, "example");
        let entry = Entry {
            version: 1,
            token: "first secret".into(),
        };
        let vault = Vault(HashMap::from([(ann.id.clone(), entry)]));
        let known = CredentialRequest {
            principal: &ann,
            server: &server,
            rule: &CredentialRule::Resolve,
            rejected: None,
            token: None,
        };
        let foreign = CredentialRequest {
            rule: &CredentialRule::Pinned(Owner::Organization),
            ..known
        };
        resolver(&vault, known, foreign).await;
        Ok(())
    }
}
