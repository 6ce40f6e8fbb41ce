//! Responses of token endpoints as real issuers send them.

use secrecy::zeroize::Zeroizing;

use super::*;

fn answer(status: u16, kind: &'static str, body: &str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::from_iter([
            (RETRY_AFTER, HeaderValue::from_static("7")),
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        ]),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    }
}

fn json(status: u16, body: &str) -> Result<Token, Refusal> {
    token_answer(&answer(status, "application/json", body))
}

#[test]
fn token_is_found_in_every_known_response_layout() {
    let rows = [
        r#"{"access_token":"a"}"#,
        r#"{"access_token":"a","token_type":"bearer"}"#,
        r#"{"access_token":"a","token_type":"user"}"#,
        r#"{"access_token":"a","token_type":""}"#,
        r#"{"access_token":"a","token_type":null}"#,
        r#"{"access_token":"a","token_type":7}"#,
        r#"{"access_token":"a","error":null,"expires_in":1e400,"scope":[null,1]}"#,
        "\u{feff}{\"access_token\":\"a\"}",
        r#"{"accessToken":"a"}"#,
        r#"{"ok":true,"authed_user":{"access_token":"a","token_type":"user"}}"#,
        r#"{"code":0,"data":{"access_token":"a"}}"#,
        r#"{"data":[],"token":{"access_token":"a"}}"#,
    ];
    for row in rows {
        let token = json(200, row).unwrap_or_else(|refusal| panic!("{row}: {refusal:?}"));
        assert_eq!(token.access.expose_secret(), "a", "{row}");
    }
    let token = json(
        200,
        r#"{"access_token":"a","refresh_token":"","expires_in":"60","scope":"x, y"}"#,
    );
    let token = token.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(token.life, Some(Duration::from_mins(1)));
    assert_eq!(token.scopes, Some(vec!["x".to_owned(), "y".to_owned()]));
    assert!(token.refresh.is_none());
}

#[test]
fn form_encoded_response_is_parsed() {
    let body = "access_token=a&scope=repo%2Cgist&token_type=bearer&expires_in=60&refresh_token=r";
    for kind in [
        "application/x-www-form-urlencoded; charset=utf-8",
        "text/plain",
    ] {
        let token = token_answer(&answer(200, kind, body));
        let token = token.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        assert_eq!(token.access.expose_secret(), "a");
        assert_eq!(
            token.scopes,
            Some(vec!["repo".to_owned(), "gist".to_owned()])
        );
        assert_eq!(token.life, Some(Duration::from_mins(1)));
    }
    let refused = token_answer(&answer(
        200,
        "application/x-www-form-urlencoded",
        "error=bad_refresh_token&error_description=x",
    ));
    assert!(matches!(refused, Err(Refusal::Final(code)) if code == "bad_refresh_token"));
    let page = token_answer(&answer(200, "text/html", body));
    assert!(matches!(page, Err(Refusal::Foreign(_))));
}

#[test]
fn response_body_decides_whether_a_refusal_is_final() {
    let finals = [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"canary"}"#,
        ),
        (401, r#"{"error":"invalid_client"}"#),
        (403, r#"{"error":"unauthorized_client"}"#),
        (
            200,
            r#"{"error":"bad_refresh_token","error_description":"canary"}"#,
        ),
        (200, r#"{"ok":false,"error":"invalid_refresh_token"}"#),
        (
            200,
            r#"{"error":{"code":"invalid_grant","message":"canary"}}"#,
        ),
        (200, r#"{"error":{"type":"OAuthException","code":null}}"#),
        (404, r#"{"error":"invalid_grant"}"#),
        (400, r#"{"errorCode":"invalid_grant"}"#),
        (
            400,
            r#"{"error":"interaction_required","error_codes":[50076]}"#,
        ),
    ];
    for (status, body) in finals {
        let refusal = json(status, body).err().unwrap();
        assert!(
            matches!(refusal, Refusal::Final(_)),
            "{status} {body}: {refusal:?}"
        );
        assert!(!format!("{refusal:?}").contains("canary"), "{refusal:?}");
    }
    let passing = [
        (400, r#"{"error":"temporarily_unavailable"}"#),
        (200, r#"{"error":"server_error"}"#),
        (200, r#"{"ok":false,"error":"ratelimited"}"#),
        (200, r#"{"error":"Internal Server Error"}"#),
        (200, r#"{"error":503}"#),
        (429, r#"{"error":"invalid_grant"}"#),
        (408, ""),
        (503, r#"{"error":"invalid_grant"}"#),
        (503, "<html>canary</html>"),
        (200, r#"{"access_token":"canary","token_type":"DPoP"}"#),
        (200, r#"{"access_token":"canary\n"}"#),
    ];
    for (status, body) in passing {
        let refusal = json(status, body).err().unwrap();
        let Refusal::Passing { why, after } = &refusal else {
            panic!("{status} {body}: {refusal:?}");
        };
        assert!(!why.contains("canary"), "{why}");
        assert_eq!(*after, Some(Duration::from_secs(7)), "{body}");
    }
}

#[test]
fn responses_not_from_a_token_endpoint_are_distinguished() {
    let foreign = [
        (200, ""),
        (200, "{}"),
        (200, "<html>canary</html>"),
        (200, r#"{"access_token":["canary"]}"#),
        (200, r#"{"access_token":null}"#),
        (302, ""),
        (400, "<html>canary</html>"),
        (403, ""),
        (404, "not found"),
        (405, ""),
        (410, "{}"),
    ];
    for (status, body) in foreign {
        let refusal = json(status, body).err().unwrap();
        assert!(
            matches!(&refusal, Refusal::Foreign(why) if !why.contains("canary")),
            "{status} {body}: {refusal:?}"
        );
    }
}
