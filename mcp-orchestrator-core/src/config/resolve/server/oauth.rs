//! Resolves how a server's token is obtained by OAuth.

use secrecy::SecretString;

use crate::config::resolve::check;
use crate::config::resolve::scope::Scope;
use crate::config::resolve::server::oauth_parameters;
use crate::config::schema::oauth::{OAuthChoice, OAuthEntry, ResourceChoice};
use crate::config::schema::server::ServerEntry;
use crate::config::schema::value::Typed;
use crate::id::SlotName;
use crate::server::{
    CredentialSlot, Injection, OAuthClient, OAuthEndpoints, OAuthGrant, OAuthResource, OAuthSpec,
    SlotForm,
};

/// Resolves the OAuth entry of a server. If it names no slot, the default slot is added to `slots`.
pub(crate) fn oauth(
    scope: &mut Scope<'_>,
    entry: &ServerEntry,
    slots: &mut Vec<CredentialSlot>,
) -> Option<OAuthSpec> {
    let choice = entry.oauth.as_ref()?;
    let path = scope.path.key("oauth");
    let scope = &mut scope.below(path);
    let typed = match choice {
        OAuthChoice::Plain(false) => return None,
        OAuthChoice::Plain(true) => OAuthEntry::default(),
        OAuthChoice::Entry(typed) => OAuthEntry::clone(typed),
    };
    if !cfg!(feature = "oauth") {
        scope.problem("", "this program was built without the feature `oauth`");
        return None;
    }
    let grant = typed.grant.map(Into::into).unwrap_or_default();
    let client = client(scope, &typed, grant);
    let issuer = address(scope, "issuer", typed.issuer.as_ref());
    let endpoints = endpoints(scope, &typed);
    let scopes = scopes(scope, typed.scopes.as_deref());
    let slot = slot(scope, &typed, entry, slots)?;
    let takes = slots.iter().find(|known| known.name == slot);
    if takes.is_some_and(|slot| matches!(slot.inject, Injection::Env(_))) {
        scope.notice(
            "",
            "its token is passed in the environment, so each new token starts a new instance: what the server keeps in \
             memory, and its tasks, are lost; a `file` or `header` slot receives the new token while the server runs",
        );
    }
    let spec = OAuthSpec {
        grant,
        scopes,
        client,
        client_auth: typed.token_endpoint_auth_method.map(Into::into),
        issuer,
        endpoints,
        resource: resource(scope, typed.resource.as_ref()),
        authorization_parameters: oauth_parameters::of_page(scope, &typed),
        token_parameters: oauth_parameters::of_tokens(scope, &typed),
        redirect_uri: oauth_parameters::redirect_uri(scope, typed.redirect_uri.as_ref()),
        ..OAuthSpec::new(slot)
    };
    if !scope.has_problem("") {
        names_issuer(scope, &spec, entry);
    }
    Some(spec)
}

/// Requires a configured issuer if the server cannot name one, or must not because a secret would be sent to it.
fn names_issuer(scope: &mut Scope<'_>, spec: &OAuthSpec, entry: &ServerEntry) {
    if spec.names_issuer() {
        return;
    }
    if entry.url.is_none() {
        scope.problem(
            "",
            "`issuer` is required for a server that the gateway runs",
        );
    } else if spec.has_secret() {
        let key = if spec.token_parameters.is_empty() {
            "client_secret"
        } else {
            "token_parameters"
        };
        scope.problem(
            key,
            "the secret needs a fixed recipient; set `issuer`, or \
             `token_endpoint` and `authorization_endpoint`",
        );
    }
}

fn endpoints(scope: &mut Scope<'_>, typed: &OAuthEntry) -> OAuthEndpoints {
    OAuthEndpoints {
        metadata: address(scope, "metadata_url", typed.metadata_url.as_ref()),
        authorization: address(
            scope,
            "authorization_endpoint",
            typed.authorization_endpoint.as_ref(),
        ),
        token: address(scope, "token_endpoint", typed.token_endpoint.as_ref()),
        registration: address(
            scope,
            "registration_endpoint",
            typed.registration_endpoint.as_ref(),
        ),
    }
}

fn resource(scope: &mut Scope<'_>, typed: Option<&ResourceChoice>) -> OAuthResource {
    match typed {
        None | Some(ResourceChoice::Plain(true)) => OAuthResource::Found,
        Some(ResourceChoice::Plain(false)) => OAuthResource::Omitted,
        Some(ResourceChoice::Text(text)) => {
            let text = scope.plain("resource", Some(text));
            text.map_or(OAuthResource::Omitted, |text| {
                OAuthResource::Named(text.trim().to_owned())
            })
        }
    }
}

fn slot(
    scope: &mut Scope<'_>,
    typed: &OAuthEntry,
    entry: &ServerEntry,
    slots: &mut Vec<CredentialSlot>,
) -> Option<SlotName> {
    if let Some(named) = &typed.slot {
        let known = slots.iter().find(|slot| slot.name.as_str() == named);
        let Some(known) = known else {
            scope.problem("slot", "this server has no credential with this name");
            return None;
        };
        return Some(known.name.clone());
    }
    if entry.url.is_none() {
        scope.problem("", "set `slot` to the credential that receives the token");
        return None;
    }
    let name = SlotName::new(OAuthSpec::SLOT).ok()?;
    let bearer = Injection::bearer();
    let taken = |slot: &CredentialSlot| {
        let header =
            matches!(&slot.inject, Injection::Header { name, .. } if name == "authorization");
        slot.name == name || header
    };
    if slots.iter().any(taken) {
        scope.problem(
            "",
            "another credential uses that header; set `slot` to the credential that receives the token",
        );
        return None;
    }
    slots.push(CredentialSlot {
        name: name.clone(),
        description: None,
        required: true,
        inject: bearer,
        form: SlotForm::default(),
    });
    Some(name)
}

fn client(scope: &mut Scope<'_>, typed: &OAuthEntry, grant: OAuthGrant) -> OAuthClient {
    let path = scope.path.key("client_secret");
    let secret = typed.client_secret.as_ref();
    let secret = secret.and_then(|typed| scope.text(&path, typed, None));
    if secret
        .as_ref()
        .is_some_and(|secret| secret.expose().is_empty())
    {
        scope.problem("client_secret", "must not be empty");
    }
    let id = scope.plain("client_id", typed.client_id.as_ref());
    if typed.client_id.is_none() && typed.client_secret.is_some() {
        scope.problem("client_secret", "needs a `client_id`");
    }
    let both = typed.client_id.is_some() && typed.client_secret.is_some();
    if grant == OAuthGrant::ClientCredentials && !both {
        scope.problem("grant", "needs `client_id` and `client_secret`");
    }
    match id {
        Some(id) => OAuthClient::Registered {
            id,
            secret: secret.map(|secret| SecretString::from(secret.expose())),
        },
        None => OAuthClient::Found,
    }
}

fn address(scope: &mut Scope<'_>, key: &str, typed: Option<&Typed>) -> Option<String> {
    let text = scope.plain(key, typed)?;
    let path = scope.path.key(key);
    scope.check(&path, check::url(&text))?;
    Some(text.trim().to_owned())
}

fn scopes(scope: &mut Scope<'_>, typed: Option<&[Typed]>) -> Vec<String> {
    let mut scopes = Vec::new();
    for (index, typed) in typed.unwrap_or_default().iter().enumerate() {
        let path = scope.path.key("scopes").index(index);
        let Some(text) = scope.text(&path, typed, None) else {
            continue;
        };
        let text = text.expose().trim();
        let is_word = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if text.is_empty() || !text.bytes().all(is_word) {
            scope.problem_at(
                &path,
                "a scope is one word of ASCII, without '\"' and '\\'; several are several elements",
            );
            continue;
        }
        scopes.push(text.to_owned());
    }
    scopes
}
