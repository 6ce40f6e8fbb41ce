//! Documents of OAuth issuers, and tokens.
