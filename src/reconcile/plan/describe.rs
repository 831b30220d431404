//! The plan in words: the same text for the command line, the log and the tests.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{
    Action, Asked, Deferred, Plan, Revocation, RevocationReason, SkipReason, Skipped, Subject, Unknown,
};

fn seconds(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, held, deferred, skipped, unknown, unsettled, relabelled: _, .. } = self;
        for step in pairs.iter().flat_map(|pair| &pair.steps) {
            match step {
                Action::Create(new) => {
                    writeln!(f, "grant     {}", new.grant)?;
                    for cause in &new.causes {
                        writeln!(f, "          because of {cause}")?;
                    }
                }
                Action::Revoke(revocation) => {
                    writeln!(f, "revoke    {}\n          because {}", revocation.grant, revocation.reason())?;
                }
            }
        }
        for grant in held {
            writeln!(
                f,
                "held      {grant}\n          too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync"
            )?;
        }
        for Deferred { grant, until } in deferred {
            let until = until
                .map_or("somebody removes it".to_owned(), |until| format!("it ends at {}", seconds(until)));
            writeln!(f, "deferred  {grant}\n          another grant is in the way until {until}")?;
        }
        for skipped in skipped {
            writeln!(f, "skipped   {skipped}")?;
        }
        for unknown in unknown {
            writeln!(f, "unknown   {unknown}; grants that depend on it stay until their end")?;
        }
        for pair in unsettled {
            writeln!(f, "unsettled {pair}: an earlier write has an unknown outcome")?;
        }
        let Self { unchanged, on_calls, next_wake, .. } = self;
        write!(f, "{unchanged} grants unchanged, {on_calls} on-calls seen")?;
        match next_wake {
            Some(wake) => write!(f, "; the next change by itself is at {}", seconds(*wake)),
            None => write!(f, "; nothing changes by itself"),
        }
    }
}

impl Revocation {
    /// Why, with who allowed it if the guard did not: the reason that the audit keeps.
    pub fn reason(&self) -> String {
        let Self { row: _, grant: _, why, released } = self;
        let released = if *released {
            "; more were due at once than max_revocations allows, and a request released them (allow_mass_revocation)"
        } else {
            ""
        };
        format!("{why}{released}")
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWanted => "no rule wants this access any more",
            Self::OtherAddress => {
                "the person on call now counts under another strongDM address (see accounts.aliases and the address in \
                 PagerDuty), so no rule wants this access any more"
            }
            Self::TooLong => "only a part of it is still wanted, and that part is granted anew",
            Self::Duplicate => "another grant covers all of it",
            Self::InTheWay => "strongDM takes one grant at a time, and an earlier window is wanted",
        })
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, reason, rules, first_shift } = self;
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        write!(f, "{subject}: {reason} (rules: {})", rules.join(", "))?;
        match first_shift {
            Some(start) => write!(f, ", on call from {}", seconds(*start)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(email) => f.write_str(email),
            Self::User(user) => write!(f, "PagerDuty user {user}"),
            Self::Resource(name) => write!(f, "resource {name:?}"),
            Self::Filter(filter) => write!(f, "resource filter {filter:?}"),
        }
    }
}

impl SkipReason {
    /// The word that reports have for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoAccount => "no_account",
            Self::AccountSuspended => "account_suspended",
            Self::AmbiguousAccount => "ambiguous_account",
            Self::NoEmail => "no_email",
            Self::InvalidEmail => "invalid_email",
            Self::ResourceNotFound => "resource_not_found",
            Self::AmbiguousResource => "ambiguous_resource",
            Self::FilterRefused => "filter_refused",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAccount => "no strongDM user account has this address",
            Self::AccountSuspended => "the strongDM account is suspended",
            Self::AmbiguousAccount => "several strongDM accounts have this address",
            Self::NoEmail => "PagerDuty knows no e-mail address, or the user is deleted",
            Self::InvalidEmail => "the address has characters that are not safe to look up",
            Self::ResourceNotFound => "strongDM has no resource of this name",
            Self::AmbiguousResource => "strongDM has several resources of this name",
            Self::FilterRefused => "strongDM does not accept it",
        })
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { about, error } = self;
        write!(f, "{about}: {error}")
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnCalls(source) => source.fmt(f),
            Self::User(user) => write!(f, "PagerDuty user {user}"),
            Self::Account(email) => write!(f, "strongDM account of {email}"),
            Self::Resource(selector) => f.write_str(selector),
            Self::Write(pair) => pair.fmt(f),
            Self::GrantList => f.write_str("strongDM's list of grants"),
        }
    }
}
