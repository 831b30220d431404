//! What the configuration alone tells.

use secrecy::ExposeSecret;
use url::Url;

use crate::{
    config::{Config, PagerDuty, Server},
    model::{Finding, FindingKind, is_loopback},
};

/// Nobody guesses 16 random characters over a network.
const SHORTEST_TOKEN: usize = 16;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let findings = [
        webhook_secrets(&config.pagerduty),
        admin_token(&config.server),
        public_url(config.server.public_url.as_ref()),
    ];
    findings.into_iter().flatten().collect()
}

fn webhook_secrets(pagerduty: &PagerDuty) -> Option<Finding> {
    let PagerDuty { webhook_secrets: secrets, webhook_secrets_file: file, .. } = pagerduty;
    let subject = "webhook secret";
    let mut texts: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    texts.sort_unstable();
    match file {
        _ if texts.windows(2).any(|pair| pair[0] == pair[1]) => Some(
            Finding::warning(FindingKind::WebhookSecretDoubled, subject, "is configured twice")
                .mended_by("keep it once; during a rotation the old and the new one differ"),
        ),
        _ if !secrets.is_empty() => None,
        // The path is not shown: it may be a secret in the wrong place.
        Some(_) => {
            let message = "the file that pagerduty.webhook_secrets_file names is not there yet or empty, so webhooks are \
                           answered 503";
            Some(Finding::warning(FindingKind::NoWebhookSecret, subject, message).mended_by(
                "make one with oncall-grants webhook create --secret-file and that file; a running service takes it in",
            ))
        }
        None => {
            let message =
                "none is configured: changes are found by the timer only, and webhooks are answered 503";
            Some(Finding::note(FindingKind::NoWebhookSecret, subject, message).mended_by(
                "make one with oncall-grants webhook create, and give it as pagerduty.webhook_secrets_file",
            ))
        }
    }
}

fn admin_token(server: &Server) -> Option<Finding> {
    if server.admin_token.expose_secret().len() >= SHORTEST_TOKEN {
        return None;
    }
    let message = "is so short that it can be guessed";
    Some(
        Finding::warning(FindingKind::ShortAdminToken, "server.admin_token", message)
            .mended_by("choose a long random text: head -c 32 /dev/urandom | base64"),
    )
}

fn public_url(url: Option<&Url>) -> Option<Finding> {
    let subject = "server.public_url";
    match url {
        None => {
            let message = "is not configured, so the webhook subscription is neither checked nor watched";
            Some(
                Finding::note(FindingKind::NoPublicUrl, subject, message)
                    .mended_by("set it to where PagerDuty reaches this service"),
            )
        }
        Some(url) if url.scheme() == "http" && !is_loopback(url) => {
            let message = "is plain http: everybody on the way can read what PagerDuty delivers";
            Some(
                Finding::warning(FindingKind::PublicUrlInTheClear, subject, message)
                    .mended_by("serve HTTPS (tls_cert and tls_key, or a proxy), and write https here"),
            )
        }
        Some(_) => None,
    }
}
