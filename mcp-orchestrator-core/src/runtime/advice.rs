//! What to do about a program that ended while it started, judged by its exit status and its last output.

/// What programs write when they do not trust the certificate of a host: Node, Python, Go, OpenSSL, rustls, Java.
const UNTRUSTED: &[&str] = &[
    "self-signed certificate",
    "self signed certificate",
    "self_signed_cert",
    "unable to get local issuer certificate",
    "unable to get issuer certificate",
    "unable to verify the first certificate",
    "unable_to_verify_leaf_signature",
    "unable_to_get_issuer_cert",
    "certificate_verify_failed",
    "certificate verify failed",
    "certificate signed by unknown authority",
    "unknownissuer",
    "pkix path building failed",
];

/// Returns the next step, or `None` if only the output itself can tell.
pub(crate) fn on_exit(code: Option<i64>, tail: &[String]) -> Option<&'static str> {
    let said = |text: &&str| tail.iter().any(|line| line.to_lowercase().contains(text));
    if UNTRUSTED.iter().any(said) {
        return Some(
            "TLS failed: it does not trust the certificate of a host; set NODE_EXTRA_CA_CERTS, SSL_CERT_FILE or \
             REQUESTS_CA_BUNDLE to a file of the authority, for the gateway or in `env` of the server",
        );
    }
    match code {
        Some(126) => Some("a command that it runs is not executable"),
        Some(127) => Some("a command that it runs was not found; check `command` and PATH"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_certificate_is_recognized_in_the_output_of_common_runtimes() {
        for line in [
            "Error: self-signed certificate in certificate chain",
            "  code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'",
            "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "invalid peer certificate: UnknownIssuer",
            "error:0A000086:SSL routines::certificate verify failed",
            "unable to get local issuer certificate",
            "sun.security.validator.ValidatorException: PKIX path building failed",
        ] {
            let tail = ["starting".to_owned(), line.to_owned()];
            let advice = on_exit(Some(1), &tail).unwrap_or_default();
            assert!(advice.contains("NODE_EXTRA_CA_CERTS"), "{line}: {advice}");
        }
        let tail = ["cannot find config".to_owned()];
        assert_eq!(on_exit(Some(3), &tail), None);
        assert!(on_exit(Some(127), &tail).unwrap().contains("not found"));
    }
}
