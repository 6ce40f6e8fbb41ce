//! What the claims of a token say: until when, for whom, with which scopes, who it is.

use serde_json::{Map, Value};

use super::errors::JwtError;
use super::options::JwtOptions;
use crate::auth::{Principal, PrincipalKind};
use crate::id::{PrincipalId, TeamId};

/// Claims by name.
pub(super) type Claims = Map<String, Value>;

/// How far clocks may differ, in seconds.
pub(super) const LEEWAY: u64 = 30;

/// A claim of this name; else the one to which the dots lead.
pub(super) fn claim<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut steps = name.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

/// Until when the token holds, in seconds since 1970, leeway included; an error where it does not hold now.
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

/// A time; one that is there and is no number is wrong, not absent.
fn seconds(claims: &Claims, name: &str) -> Result<Option<u64>, JwtError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let number = value.as_u64().or_else(|| {
        let number = value
            .as_f64()
            .filter(|number| (0.0..1e15).contains(number))?;
        // Seconds with a fraction: the whole ones count.
        format!("{:.0}", number.floor()).parse().ok()
    });
    number.map(Some).ok_or_else(|| JwtError::Claim(name.into()))
}

/// Whom the token is for.
pub(super) fn audience(claims: &Claims) -> Vec<String> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => strings(several),
        _ => Vec::new(),
    }
}

/// That it has all scopes that are needed. They stand in `scope`, or in `scp` as some issuers write it.
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

/// Who it is.
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
    for team in teams.iter().filter_map(|name| TeamId::new(name).ok()) {
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

fn strings(values: &[Value]) -> Vec<String> {
    let texts = values.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
