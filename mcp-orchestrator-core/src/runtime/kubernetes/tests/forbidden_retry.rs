//! Tests that a request is retried while new rights take effect, and that a denied one fails with its rule.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::backend;
use crate::error::{ErrorKind, Result};
use crate::kubernetes::tests::api_server::{Answer, list, server, status};

/// The cluster's response to access reviews.
#[derive(Clone, Copy)]
enum Review {
    Allows,
    Denies,
    /// The review itself is forbidden.
    Forbidden,
}

fn forbidden() -> Answer {
    let mut refused = status(403, "Forbidden");
    refused["message"] = json!("pods \"p\" is forbidden: User \"u\" cannot delete resource");
    Answer::Whole(403, refused)
}

fn reviewed(review: Review) -> Answer {
    let allowed = match review {
        Review::Allows => true,
        Review::Denies => false,
        Review::Forbidden => return forbidden(),
    };
    Answer::Whole(201, json!({ "spec": {}, "status": { "allowed": allowed } }))
}

/// Ends a pod `times` times. The cluster forbids the n-th request if `refuses(n)`. Returns the results, and how many
/// requests the cluster received.
async fn ended(
    times: usize,
    review: Review,
    refuses: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (Vec<Result<()>>, usize) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let (_serving, address) = server(move |path| {
        if path.contains("/selfsubjectaccessreviews") {
            return reviewed(review);
        }
        if path.contains("/pods/p") {
            return match refuses(counted.fetch_add(1, Ordering::SeqCst)) {
                true => forbidden(),
                false => Answer::Whole(200, status(200, "")),
            };
        }
        match path.contains("watch=true") {
            true => Answer::Watch(Vec::<Value>::new()),
            false => list(&[]),
        }
    })
    .await;
    let backend = backend(&address).await;
    let mut ended = Vec::new();
    for _ in 0..times {
        ended.push(backend.0.writer.end_pod("p", "uid", 1).await);
    }
    (ended, requests.load(Ordering::SeqCst))
}

#[tokio::test]
async fn previously_allowed_request_is_retried_regardless_of_the_review() {
    let (ended, requests) = ended(2, Review::Denies, |nth| (1..4).contains(&nth)).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(requests, 5);
}

#[tokio::test]
async fn request_allowed_by_the_review_is_retried() {
    let (ended, requests) = ended(1, Review::Allows, |nth| nth < 2).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(requests, 3);
}

#[tokio::test]
async fn request_is_retried_if_the_review_itself_is_forbidden() {
    let (ended, requests) = ended(1, Review::Forbidden, |nth| nth < 3).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(requests, 4);
}

#[tokio::test]
async fn request_denied_by_the_review_fails_at_once_with_its_rule() {
    let (ended, requests) = ended(1, Review::Denies, |_| true).await;
    let error = ended[0].as_ref().unwrap_err();
    assert_eq!((error.kind(), requests), (ErrorKind::Config, 1));
    assert!(
        error.to_string().contains("the Role needs the rule"),
        "{error}"
    );
}
