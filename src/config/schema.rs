//! Every key that the file may hold, by table. What is not here is refused.

/// The keys of each table, in the order of the example file; the first table is the file itself.
pub(super) const TABLES: [(&str, &[&str]); 12] = [
    ("", &["server", "pagerduty", "strongdm", "store", "sync", "rules", "accounts", "audit", "notices"]),
    (
        "server",
        &[
            "listen",
            "admin_token",
            "admin_token_file",
            "trigger_tokens",
            "trigger_tokens_file",
            "public_url",
            "idle_timeout",
            "tls_cert",
            "tls_key",
            "client_ca",
            "client_names",
        ],
    ),
    (
        "pagerduty",
        &[
            "api_url",
            "client_id",
            "client_id_file",
            "client_secret",
            "client_secret_file",
            "subdomain",
            "identity_url",
            "token",
            "token_file",
            "webhook_secrets",
            "webhook_secrets_file",
        ],
    ),
    ("strongdm", &["api_url", "access_key", "access_key_file", "secret_key", "secret_key_file"]),
    ("store", &["url", "url_file", "keep"]),
    ("sync", &["interval", "horizon", "verify_interval", "max_revocations", "max_filter_matches"]),
    (
        "rules",
        &[
            "name",
            "schedules",
            "escalation_policies",
            "escalation_levels",
            "include_always_on_call",
            "incidents",
            "resources",
            "resource_filters",
            "kubernetes_groups",
            "start_early",
            "end_late",
        ],
    ),
    (
        "rules.incidents",
        &["services", "urgencies", "priorities", "people", "eligible", "max_duration", "max_people"],
    ),
    ("rules.incidents.eligible", &["teams", "schedules", "escalation_policies"]),
    ("accounts", &["aliases", "domain_aliases"]),
    ("audit", &["signing_key_file"]),
    ("notices", &["name", "url", "url_file", "format", "secret", "secret_file", "events"]),
];

/// The keys of one table.
pub(super) fn keys_of(table: &str) -> &'static [&'static str] {
    TABLES.iter().find(|(name, _)| *name == table).map_or(&[], |(_, keys)| keys)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_on_the_page_of_keys() {
        let page = include_str!("../../docs/configuration.md");
        let mut table = "";
        let mut listed: BTreeSet<(&str, &str)> = BTreeSet::new();
        for line in page.lines() {
            let cell = line.strip_prefix("| ").and_then(|row| row.split(" |").next());
            let heading = cell.and_then(|cell| cell.strip_prefix("**`[")?.strip_suffix("]`**"));
            let heading = heading.or_else(|| line.strip_prefix("The table `[")?.split(']').next());
            if let Some(heading) = heading {
                table = heading.trim_matches(['[', ']']);
            } else {
                listed.extend(
                    cell.into_iter()
                        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
                        .map(|key| (table, key)),
                );
            }
        }
        // The first table holds the others, and one is explained in a row.
        for (table, keys) in
            TABLES.into_iter().filter(|(table, _)| !["", "rules.incidents.eligible"].contains(table))
        {
            for key in keys {
                // A `_file` beside each secret is said once.
                let key = key.strip_suffix("_file").filter(|secret| keys.contains(secret)).unwrap_or(key);
                assert!(
                    listed.contains(&(table, key)),
                    "docs/configuration.md has no row for {key} of [{table}]"
                );
            }
        }
    }
}
