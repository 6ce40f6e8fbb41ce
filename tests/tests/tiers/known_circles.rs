//! Import circles that exist. The list may only shrink.

/// The files of each circle, below the crate's `src`, sorted.
pub(crate) const KNOWN: &[&[&str]] = &[
    &["credential/oauth/client.rs", "credential/oauth/proof.rs"],
    &[
        "credential/oauth/job/mod.rs",
        "credential/oauth/renewals.rs",
    ],
];
