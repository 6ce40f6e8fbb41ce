//! Evaluates the claims of a token: validity period, audience, scopes and principal.

use serde_json::{Map, Value};

use super::errors::JwtError;
use super::options::JwtOptions;
use crate::auth::{Principal, PrincipalKind, TeamNames};
use crate::id::{PrincipalId, TeamId};

/// Claims by name.
pub(super) type Claims = Map<String, Value>;

/// Tolerated clock skew, in seconds.
pub(super) const LEEWAY: u64 = 30;

/// Returns the claim with exactly this name, or else the one at the dotted path `name`.
pub(super) fn claim<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut steps = name.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

/// Returns when the token expires, in seconds since 1970 and including the leeway. Fails if the token is not valid at
/// `now`.
pub(super) fn end(claims: &Claims, now: u64) -> Result<u64, JwtError> {
    let end = seconds(claims, "exp")?.ok_or_else(|| JwtError::Claim("exp".into()))?;
    let end = end.saturating_add(LEEWAY);
    if now >= end {
        return Err(JwtError::Expired);
    }
    match seconds(claims, "nbf")? {
        Some(start) if start > now.saturating_add(LEEWAY) => Err(JwtError::NotYet),
        _ => Ok(end),
    }
}

/// Reads a time claim. A claim that is present but not a number is an error, not absent.
fn seconds(claims: &Claims, name: &str) -> Result<Option<u64>, JwtError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let number = value.as_u64().or_else(|| {
        let number = value
            .as_f64()
            .filter(|number| (0.0..1e15).contains(number))?;
        // Fractions of a second are truncated.
        format!("{:.0}", number.floor()).parse().ok()
    });
    number.map(Some).ok_or_else(|| JwtError::Claim(name.into()))
}

/// Returns the token's audiences.
pub(super) fn audience(claims: &Claims) -> Vec<String> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => strings(several),
        _ => Vec::new(),
    }
}

/// Checks that the token has all `needed` scopes. They are in `scope`, or in `scp` as some issuers call it.
pub(super) fn scopes(claims: &Claims, needed: &[String]) -> Result<(), JwtError> {
    if needed.is_empty() {
        return Ok(());
    }
    let had: Vec<String> = ["scope", "scp"]
        .iter()
        .filter_map(|name| claims.get(*name))
        .flat_map(|value| match value {
            Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
            Value::Array(several) => strings(several),
            _ => Vec::new(),
        })
        .collect();
    match needed.iter().find(|scope| !had.contains(scope)) {
        Some(lacking) => Err(JwtError::Scope(lacking.clone())),
        None => Ok(()),
    }
}

/// Builds the principal that the claims describe.
pub(super) fn principal(claims: &Claims, options: &JwtOptions) -> Result<Principal, JwtError> {
    let user = claim(claims, &options.user_claim)
        .and_then(Value::as_str)
        .filter(|user| !user.is_empty())
        .ok_or_else(|| JwtError::Claim(options.user_claim.clone()))?;
    let id = PrincipalId::new(format!("{}{user}", options.prefix))
        .map_err(|error| JwtError::User(error.to_string()))?;
    let teams = options.teams_claim.as_deref();
    let teams = match teams.and_then(|name| claim(claims, name)) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => strings(several),
        _ => Vec::new(),
    };
    let mut known: Vec<TeamId> = Vec::new();
    for team in teams.iter().filter_map(|name| team(options, name)) {
        if !known.contains(&team) {
            known.push(team);
        }
    }
    Ok(Principal {
        id,
        kind: PrincipalKind::User,
        teams: known,
        method: "jwt",
    })
}

/// Maps a team name in a token to a team. One issuer can name neither the teams of another nor configured teams that
/// are not assigned to it.
fn team(options: &JwtOptions, name: &str) -> Option<TeamId> {
    let prefix = options.prefix.as_str();
    match &options.teams {
        TeamNames::Any => TeamId::new(name).ok(),
        TeamNames::Own(named) if named.iter().any(|known| known == name) => TeamId::new(name).ok(),
        TeamNames::Own(_) if prefix.is_empty() => None,
        TeamNames::Own(_) if name.starts_with(prefix) => TeamId::new(name).ok(),
        TeamNames::Own(_) => TeamId::new(format!("{prefix}{name}")).ok(),
    }
}

fn strings(values: &[Value]) -> Vec<String> {
    let texts = values.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Audience;

    fn teams(prefix: &str, names: TeamNames, claim: &Value) -> Vec<String> {
        let mut options = JwtOptions::new("https://i.example", Audience::OneOf(vec!["x".into()]));
        options.prefix = prefix.to_owned();
        options.teams_claim = Some("teams".to_owned());
        options.teams = names;
        let claims = serde_json::json!({ "sub": "ann", "teams": claim });
        let principal = principal(claims.as_object().unwrap(), &options).unwrap();
        principal.teams.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_of_several_issuers_can_assert_only_its_own_teams() {
        let claim = serde_json::json!(["ops", "b:dev", "a:ops", "root"]);
        let own = |names: &[&str]| TeamNames::Own(names.iter().map(|&name| name.into()).collect());
        assert_eq!(
            teams("", TeamNames::Any, &claim),
            ["ops", "b:dev", "a:ops", "root"]
        );
        assert_eq!(
            teams("b:", own(&[]), &claim),
            ["b:ops", "b:dev", "b:a:ops", "b:root"]
        );
        assert_eq!(
            teams("b:", own(&["ops"]), &claim),
            ["ops", "b:dev", "b:a:ops", "b:root"]
        );
        assert_eq!(teams("", own(&["ops"]), &claim), ["ops"]);
        assert!(teams("", own(&[]), &claim).is_empty());
        assert_eq!(teams("b:", own(&[]), &"ops".into()), ["b:ops"]);
    }

    #[test]
    fn numeric_dates_of_any_size_are_accepted_or_rejected() {
        let at = |claim: &str, json: &str| {
            let text = format!(r#"{{"exp":2000,"{claim}":{json}}}"#);
            let claims = super::super::token::claims(text.as_bytes()).unwrap();
            end(&claims, 1000)
        };
        for json in [
            "18446744073709551615",
            "18446744073709551616",
            "1e400",
            "-1e400",
            "-1",
            "1e15",
            r#""2000""#,
            "null",
            "[]",
        ] {
            for claim in ["exp", "nbf"] {
                // The claim may be accepted or not, but it must not panic, and an invalid `nbf` must not count as one
                // in the past.
                let found = at(claim, json);
                assert!(
                    claim == "exp" || found.is_err(),
                    "{claim} {json}: {found:?}"
                );
            }
            assert_eq!(at("iat", json), Ok(2030), "{json}");
            assert_eq!(at("auth_time", json), Ok(2030), "{json}");
        }
        assert_eq!(at("nbf", "1000.5"), Ok(2030));
        assert_eq!(at("exp", "1500.9"), Ok(1530));
    }
}
