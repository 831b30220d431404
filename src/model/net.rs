//! Where an address leads.

use url::{Host, Url};

/// Whether what is sent there stays on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An error with all that caused it, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What it means that no connection to `upstream` came about, where `text` is what the libraries say and `key` gives the
/// address.
pub fn connection_in_words(text: String, upstream: &str, key: &str) -> String {
    if text.contains("proxy authorization required") {
        return format!(
            "the proxy that HTTPS_PROXY names wants another user name and password, as in \
             http://user:password@proxy.example.com:3128 ({text})"
        );
    }
    if text.contains("tunnel error") {
        return format!("the proxy that HTTPS_PROXY names does not lead to {upstream} ({text})");
    }
    // What the TLS library calls whatever is no TLS at all.
    if text.contains("InvalidContentType") {
        return format!("what answers there does not speak TLS; is {key} right? ({text})");
    }
    if text.contains("UnknownIssuer") {
        return format!(
            "no authority that is trusted here signed the certificate that {upstream} showed; if a proxy of your company \
             shows its own, name the PEM file of its authority in SSL_CERT_FILE ({text})"
        );
    }
    text
}
