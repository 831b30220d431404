//! What to do next about a finding, as it is to be written or run; and the command to run after all of them.

use serde::Serialize;

use crate::{
    cli::local::service_url,
    config::{Config, Credentials},
    model::{
        Finding, FindingKind, IncidentSelector, PeopleSelector, PriorityId, ResourceSelector, Rule, Source,
    },
    store::Address,
};

/// A thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Step {
    /// A line to write into the configuration file.
    Write {
        /// The line. What stands there in capitals is for the operator to fill in.
        write: String,
        /// The table in which it stands.
        under: String,
    },
    /// A command to run.
    Run {
        /// The command.
        run: String,
    },
}

impl Step {
    fn write(under: impl Into<String>, line: impl Into<String>) -> Self {
        Self::Write { write: line.into(), under: under.into() }
    }

    fn run(command: impl Into<String>) -> Self {
        Self::Run { run: command.into() }
    }
}

/// As people read it.
impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Write { write, under } => write!(f, "write: {write}   under {under}"),
            Self::Run { run } => write!(f, "run:   {run}"),
        }
    }
}

/// Makes the commands of a configuration.
pub(super) struct Guide<'c> {
    config: &'c Config,
}

const ACCOUNTS: &str = "[accounts]";
const SERVER: &str = "[server]";
const PAGERDUTY: &str = "[pagerduty]";
const STRONGDM: &str = "[strongdm]";
const STORE: &str = "[store]";

impl<'c> Guide<'c> {
    pub(super) fn new(config: &'c Config) -> Self {
        Self { config }
    }

    /// What to write and what to run; nothing where only PagerDuty, strongDM or this machine can be put right, which the
    /// remedy says.
    pub(super) fn steps(&self, finding: &Finding) -> Vec<Step> {
        let subject = finding.subject.as_str();
        match finding.kind {
            FindingKind::AlwaysOnCall => self.in_rule(subject, "include_always_on_call = true"),
            FindingKind::AmbiguousAccount | FindingKind::NoAccount => vec![self.alias(subject)],
            FindingKind::ResourceNotFound => self.naming_resource(subject, |rule| resources(rule, subject)),
            FindingKind::AmbiguousResource | FindingKind::FilterRefused | FindingKind::FilterWithoutMatch => {
                self.naming_resource(subject, |_| "resource_filters = [\"tags:KEY=VALUE\"]".to_owned())
            }
            FindingKind::FilterWithManyMatches => self.naming_resource(subject, |_| {
                "resource_filters = [\"tags:KEY=VALUE,ANOTHER=VALUE\"]".to_owned()
            }),
            FindingKind::LevelBeyondPolicy | FindingKind::LevelNotSeen => {
                let levels = self.rule(subject).map(|rule| levels(rule, &finding.message));
                levels.map(|line| self.in_rule(subject, &line)).unwrap_or_default()
            }
            FindingKind::SourceNotFound => self.source_not_found(subject),
            FindingKind::NotEligible => self.incident_rules("eligible = { teams = [\"TEAM-ID\"] }"),
            FindingKind::TooManyPeople => self.incident_rules("max_people = 20"),
            FindingKind::WhoCanCause => {
                let narrow = ["max_people = 3", "max_duration = \"1h\""];
                narrow.into_iter().flat_map(|line| self.in_incidents_of(subject, line)).collect()
            }
            FindingKind::Gap => self.gap(subject),
            kind => self.set_up(kind, subject),
        }
    }

    /// About the set-up, whatever the rules are.
    fn set_up(&self, kind: FindingKind, subject: &str) -> Vec<Step> {
        let secrets = || Step::write(PAGERDUTY, "webhook_secrets_file = \"pagerduty-webhook\"");
        let subscription = subject.rsplit(' ').next().unwrap_or_default();
        match kind {
            FindingKind::AccountSuspended => {
                vec![Step::run(self.command(&format!("explain --email {subject}")))]
            }
            FindingKind::ClockSkew => vec![Step::run("timedatectl set-ntp true")],
            FindingKind::DomainAliasUnused => {
                vec![Step::write(ACCOUNTS, "domain_aliases = { \"OLD-DOMAIN\" = \"NEW-DOMAIN\" }")]
            }
            FindingKind::Held => vec![Step::run(self.command("sync --dry-run")), self.confirm()],
            FindingKind::KeyRefused => self.keys(subject),
            FindingKind::NoPublicUrl => {
                vec![Step::write(SERVER, "public_url = \"https://grants.example.com\"")]
            }
            FindingKind::NoWebhookSecret => vec![secrets(), self.create_subscription()],
            FindingKind::Notices => {
                let name = subject.strip_prefix("notices to ");
                let test = |name: &str| Step::run(self.command(&format!("notices test {name}")));
                name.map(test).into_iter().collect()
            }
            FindingKind::PublicUrlInTheClear => {
                let host = self.config.server.public_url.as_ref().and_then(|url| url.host_str());
                let line = format!("public_url = \"https://{}\"", host.unwrap_or("grants.example.com"));
                let tls = ["tls_cert = \"tls/server.pem\"", "tls_key = \"tls/server.key\""];
                [line.as_str()].into_iter().chain(tls).map(|line| Step::write(SERVER, line)).collect()
            }
            FindingKind::RightMissing | FindingKind::SubscriptionNotReadable => self.right(subject),
            FindingKind::ShortAdminToken => vec![
                Step::run("(umask 077; head -c 32 /dev/urandom | base64 > admin-token)"),
                Step::write(SERVER, "admin_token_file = \"admin-token\""),
            ],
            FindingKind::Store => vec![Step::write(STORE, self.store())],
            FindingKind::SubscriptionDisabled
            | FindingKind::SubscriptionEvents
            | FindingKind::SubscriptionInactive => vec![Step::run(self.command("webhook enable"))],
            FindingKind::SubscriptionDoubled => vec![
                Step::run(self.command("webhook list")),
                Step::run(self.command("webhook delete SUBSCRIPTION-ID")),
            ],
            FindingKind::SubscriptionMissing => vec![self.create_subscription(), secrets()],
            FindingKind::SubscriptionUnheard => vec![Step::run(self.command("webhook ping"))],
            FindingKind::SubscriptionWithoutSecret => {
                vec![secrets(), Step::run(self.command("webhook rotate --secret-file pagerduty-webhook"))]
            }
            FindingKind::Unobserved => vec![Step::run(self.command("check"))],
            FindingKind::Unreachable => vec![self.reach(subject)],
            FindingKind::WebhookSecretDoubled => vec![secrets()],
            FindingKind::WriteFailed => vec![Step::run(self.command("audit --since 1h"))],
            FindingKind::WrongSecret => vec![
                secrets(),
                Step::run(self.command(&format!("webhook ping {subscription}"))),
                Step::run(self.command(&format!("webhook rotate {subscription}"))),
            ],
            // Mended in PagerDuty or strongDM alone, or of another version; and those that rules are about.
            FindingKind::InvalidEmail
            | FindingKind::StoreNew
            | FindingKind::NoEmail
            | FindingKind::NotTried
            | FindingKind::Probed
            | FindingKind::Other
            | FindingKind::AlwaysOnCall
            | FindingKind::AmbiguousAccount
            | FindingKind::NoAccount
            | FindingKind::AmbiguousResource
            | FindingKind::ResourceNotFound
            | FindingKind::FilterRefused
            | FindingKind::FilterWithoutMatch
            | FindingKind::FilterWithManyMatches
            | FindingKind::LevelBeyondPolicy
            | FindingKind::LevelNotSeen
            | FindingKind::SourceNotFound
            | FindingKind::NotEligible
            | FindingKind::TooManyPeople
            | FindingKind::WhoCanCause
            | FindingKind::Gap => Vec::new(),
        }
    }

    /// A command of this program, with the file that it was called with.
    pub(super) fn command(&self, arguments: &str) -> String {
        let file = self.config.file.display().to_string();
        if crate::config::is_found_by_itself(&self.config.file) {
            return format!("oncall-grants {arguments}");
        }
        let file = if file.contains([' ', '\'']) { format!("{file:?}") } else { file };
        format!("oncall-grants --config {file} {arguments}")
    }

    /// The rule that a finding is about, by its subject.
    fn rule(&self, subject: &str) -> Option<&'c Rule> {
        self.config.rules.iter().find(|rule| subject == format!("rule {:?}", rule.name))
    }

    fn in_rule(&self, subject: &str, line: &str) -> Vec<Step> {
        self.rule(subject).map(|rule| Step::write(under(rule), line)).into_iter().collect()
    }

    fn in_incidents_of(&self, subject: &str, line: &str) -> Vec<Step> {
        self.rule(subject).map(|rule| Step::write(under_incidents(rule), line)).into_iter().collect()
    }

    /// A line for each rule about incidents.
    fn incident_rules(&self, line: &str) -> Vec<Step> {
        let rules = self.config.rules.iter();
        let about = rules.filter(|rule| matches!(rule.people, PeopleSelector::Incidents(_)));
        about.map(|rule| Step::write(under_incidents(rule), line)).collect()
    }

    /// A line for each rule that names this resource or filter.
    fn naming_resource(&self, subject: &str, line: impl Fn(&Rule) -> String) -> Vec<Step> {
        let names = |rule: &&Rule| rule.resources.iter().any(|resource| is_named(resource, subject));
        self.config.rules.iter().filter(names).map(|rule| Step::write(under(rule), line(rule))).collect()
    }

    /// The PagerDuty address of whoever has no account, mapped to another one in strongDM.
    fn alias(&self, subject: &str) -> Step {
        let mapped = self.config.aliases.leading_to(subject);
        let from = mapped.first().copied().unwrap_or(subject);
        Step::write(ACCOUNTS, format!("aliases = {{ {from:?} = \"ADDRESS-IN-STRONGDM\" }}"))
    }

    fn source_not_found(&self, subject: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        for rule in &self.config.rules {
            let sources = rule.sources();
            if let Some(gone) = sources.iter().find(|source| source.to_string() == subject) {
                let others = sources.iter().filter(|source| *source != gone).map(Source::id);
                let line = list(key_of(gone), others, "ID-FROM-THE-ADDRESS-OF-ITS-PAGE");
                let place =
                    if matches!(gone, Source::Service(_)) { under_incidents(rule) } else { under(rule) };
                steps.push(Step::write(place, line));
            }
            if let PeopleSelector::Incidents(IncidentSelector { priorities, eligible, .. }) = &rule.people {
                if eligible.iter().any(|group| group.to_string() == subject) {
                    steps.push(Step::write(under_incidents(rule), "eligible = { teams = [\"TEAM-ID\"] }"));
                }
                if priorities.iter().any(|priority| format!("priority {priority}") == subject) {
                    let others = priorities.iter().map(PriorityId::as_str);
                    let others = others.filter(|id| format!("priority {id}") != subject);
                    let line = list("priorities", others, "PRIORITY-ID");
                    steps.push(Step::write(under_incidents(rule), line));
                }
            }
        }
        steps
    }

    fn gap(&self, subject: &str) -> Vec<Step> {
        let schedules = self.rule(subject).map(Rule::sources).unwrap_or_default().into_iter();
        let schedules = schedules.filter_map(|source| match source {
            Source::Schedule(id) => Some(format!(" --schedule {id}")),
            Source::Policy(_) | Source::Service(_) => None,
        });
        vec![Step::run(self.command(&format!("sync --dry-run{}", schedules.collect::<String>())))]
    }

    fn keys(&self, subject: &str) -> Vec<Step> {
        let lines: &[(&str, &str)] = match (subject, &self.config.pagerduty.credentials) {
            ("PagerDuty", Credentials::Key(_)) => &[(PAGERDUTY, "token_file = \"pagerduty-token\"")],
            ("PagerDuty", Credentials::App(_)) => &[
                (PAGERDUTY, "client_id_file = \"pagerduty-client-id\""),
                (PAGERDUTY, "client_secret_file = \"pagerduty-client-secret\""),
                (PAGERDUTY, "subdomain = \"SUBDOMAIN\""),
            ],
            _ => &[
                (STRONGDM, "access_key_file = \"sdm-access-key\""),
                (STRONGDM, "secret_key_file = \"sdm-secret-key\""),
            ],
        };
        lines.iter().map(|(under, line)| Step::write(*under, *line)).collect()
    }

    /// A right of an API key is that of whoever made it; those of an OAuth app and of strongDM's key are ticked there.
    fn right(&self, subject: &str) -> Vec<Step> {
        match &self.config.pagerduty.credentials {
            Credentials::Key(_) if !subject.starts_with("strongDM") => self.keys("PagerDuty"),
            Credentials::Key(_) | Credentials::App(_) => Vec::new(),
        }
    }

    fn store(&self) -> &'static str {
        match &self.config.store.address {
            Address::Sqlite { .. } => "url = \"sqlite:/var/lib/oncall-grants/oncall-grants.db\"",
            Address::Postgres { .. } => "url_file = \"store-url\"",
        }
    }

    fn reach(&self, subject: &str) -> Step {
        let url = if subject == "PagerDuty" {
            &self.config.pagerduty.api_url
        } else {
            &self.config.strongdm.api_url
        };
        Step::run(format!("curl -sS -o /dev/null -w '%{{http_code}}\\n' {url}"))
    }

    fn create_subscription(&self) -> Step {
        let url = match &self.config.server.public_url {
            Some(_) => "",
            None => " --url https://grants.example.com",
        };
        Step::run(self.command(&format!("webhook create{url} --secret-file pagerduty-webhook")))
    }

    fn confirm(&self) -> Step {
        let url = service_url(&self.config.server).map_or("http://127.0.0.1:8080/".to_owned(), String::from);
        Step::run(format!(
            "curl -sS -X POST {url}sync -H \"Authorization: Bearer $ONCALL_GRANTS_ADMIN_TOKEN\" -d \
             '{{\"allow_mass_revocation\": true}}'"
        ))
    }
}

fn under(rule: &Rule) -> String {
    format!("[[rules]] {:?}", rule.name)
}

fn under_incidents(rule: &Rule) -> String {
    format!("[rules.incidents] of {:?}", rule.name)
}

fn key_of(source: &Source) -> &'static str {
    match source {
        Source::Schedule(_) => "schedules",
        Source::Policy(_) => "escalation_policies",
        Source::Service(_) => "services",
    }
}

/// A list of these, or of what is to be filled in.
fn list<'i>(key: &str, items: impl Iterator<Item = &'i str>, otherwise: &'i str) -> String {
    let mut items: Vec<&str> = items.collect();
    if items.is_empty() {
        items.push(otherwise);
    }
    format!("{key} = {items:?}")
}

/// Whether a finding's subject is this resource or filter.
fn is_named(resource: &ResourceSelector, subject: &str) -> bool {
    let (ResourceSelector::Name(text) | ResourceSelector::Filter(text)) = resource;
    subject.ends_with(&format!(" {text:?}"))
}

/// The resources of a rule, with a place for the right name of the one that is not there.
fn resources(rule: &Rule, subject: &str) -> String {
    let names = rule.resources.iter().filter_map(|resource| match resource {
        ResourceSelector::Name(_) if is_named(resource, subject) => Some("EXACT-NAME"),
        ResourceSelector::Name(name) => Some(name.as_str()),
        ResourceSelector::Filter(_) => None,
    });
    list("resources", names, "EXACT-NAME")
}

/// The levels of a rule without those that the message says nobody has.
fn levels(rule: &Rule, message: &str) -> String {
    let PeopleSelector::Policies { levels, .. } = &rule.people else { return String::new() };
    let told = message.rsplit("level ").next().unwrap_or_default();
    let told = told.split(['(', 'n']).next().unwrap_or_default();
    let absent: Vec<u32> = told.split(',').filter_map(|level| level.trim().parse().ok()).collect();
    let present: Vec<u32> = levels.iter().copied().filter(|level| !absent.contains(level)).collect();
    let present = if present.is_empty() { vec![1] } else { present };
    format!("escalation_levels = {present:?}")
}
