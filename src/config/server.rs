//! `[server]`: how others reach this service.

use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    Server,
    reader::Section,
    secret::{Found, Setting},
    values::no_control,
};
use crate::tls::{ClientAuth, Tls, pem};

const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 8080));

/// Where PagerDuty delivers to.
const WEBHOOK_ROUTE: &str = "/webhooks/pagerduty";
/// How the routes of the service begin.
const OWN_ROUTES: [&str; 12] = [
    "api",
    "assets",
    "healthz",
    "metrics",
    "openapi.json",
    "readyz",
    "sync",
    "trigger",
    "ui",
    "webhooks",
    "why",
    "favicon.ico",
];

pub(super) fn read(section: &Section<'_>) -> Server {
    let admin_token = section.required("admin_token", "ONCALL_GRANTS_ADMIN_TOKEN");
    let admin_token = admin_token.map(|token| token.header_text(section.reader)).unwrap_or_default();
    Server {
        listen: listen(section),
        trigger_tokens: trigger_tokens(section, &admin_token),
        admin_token,
        public_url: public_url(section),
        // Balancers keep theirs for 60 s and more; the one of AWS can be told to keep them for 4000 s.
        idle_timeout: section.time_delta("idle_timeout", "75s", "1s"..="2h"),
        tls: tls(section),
    }
}

/// The tokens that may make us look: each is one of its own.
fn trigger_tokens(section: &Section<'_>, admin_token: &SecretString) -> Vec<SecretString> {
    let mut tokens: Vec<SecretString> = Vec::new();
    for Setting { place, text: token } in
        section.secrets_or_file("trigger_tokens", "ONCALL_GRANTS_TRIGGER_TOKENS")
    {
        let text = token.expose_secret();
        let is_same = |other: &SecretString| other.expose_secret() == text;
        if text.contains(|c: char| !c.is_ascii_graphic() && !c.is_control()) {
            section.reader.report(&place, "must be visible ASCII characters without blanks");
        } else if text.is_empty() {
            continue;
        }
        if is_same(admin_token) {
            section
                .reader
                .report(&place, "is the admin token, which may do everything; give it a text of its own");
        } else if tokens.iter().any(is_same) {
            section.reader.report(&place, "is listed twice; give each sender a token of its own");
        }
        tokens.push(token);
    }
    tokens
}

/// With the path that a proxy puts before ours, if it does; without a slash at its end.
fn public_url(section: &Section<'_>) -> Option<Url> {
    let value = section.get("public_url")?;
    let mut url = value.web_place("https://grants.example.com or https://example.com/grants")?;
    let path = url.path().trim_end_matches('/').to_owned();
    let first = path.split('/').nth(1).unwrap_or_default();
    if path.ends_with(WEBHOOK_ROUTE) {
        value.mistake(format!("must be the address of the service; leave {WEBHOOK_ROUTE} out"));
    } else if OWN_ROUTES.contains(&first) {
        value.mistake(format!(
            "has a path that begins with /{first}, which is a route of the service; choose another one"
        ));
    } else if path.contains("//") || !path.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~".contains(c)) {
        value.mistake(
            "has a path of other characters than letters, digits and - . _ ~, or with an empty part",
        );
    }
    url.set_path(&path);
    Some(url)
}

fn listen(section: &Section<'_>) -> SocketAddr {
    let Found::Given(Setting { place, text }) = section.setting("listen", "ONCALL_GRANTS_LISTEN") else {
        return DEFAULT_LISTEN;
    };
    text.expose_secret().trim().parse().unwrap_or_else(|_| {
        let message = "must be an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080";
        section.reader.report(&place, message);
        DEFAULT_LISTEN
    })
}

fn tls(section: &Section<'_>) -> Option<Tls> {
    let together = |one: &str, other: &str| match (section.get(one), section.get(other)) {
        (Some(given), None) => given.mistake(format!("{other} is missing: {one} and {other} go together")),
        (None, Some(given)) => given.mistake(format!("{one} is missing: {one} and {other} go together")),
        (Some(_), Some(_)) | (None, None) => {}
    };
    together("tls_cert", "tls_key");
    together("client_ca", "client_names");
    let serves_tls = ["tls_cert", "tls_key"].iter().any(|key| section.get(key).is_some());
    for key in ["client_ca", "client_names"] {
        if let Some(value) = section.get(key).filter(|_| !serves_tls) {
            value.mistake("client certificates need HTTPS: give tls_cert and tls_key as well");
        }
    }

    let ca = section.path("client_ca");
    let names = section.texts("client_names", "a name that client certificates carry", client_name);
    let (cert, key) = (section.path("tls_cert"), section.path("tls_key"));
    let tls = Tls { cert: cert?, key: key?, client: ca.map(|ca| ClientAuth { ca, names }) };
    look_into_files(section);
    Some(tls)
}

/// Reports what the listener would stumble over at its start.
fn look_into_files(section: &Section<'_>) {
    let chain = section.pem("tls_cert", pem::certificates);
    let key = section.pem("tls_key", pem::private_key);
    if let (Some(chain), Some(key), Some(value)) = (chain, key, section.get("tls_key"))
        && let Err(flaw) = pem::certified_key(chain, key)
    {
        value.mistake(flaw.to_string());
    }
    section.pem("client_ca", pem::authorities);
}

/// A wildcard belongs to many machines, of which one was meant.
fn client_name(text: &str) -> Result<(), String> {
    if text.contains('*') {
        return Err(
            "is a pattern, and wildcards do not count; write each name whole, as the certificate carries it"
                .to_owned(),
        );
    }
    no_control(text)
}
