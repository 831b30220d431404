//! The plan in words: the same text for the command line, the log and the tests.

use std::fmt;

use super::{Action, Deferred, Plan, Revocation, RevocationReason, Wait};
use crate::model::instant::to_second;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs: _, held, awaiting, deferred, skipped, unknown, unsettled, relabelled: _, .. } =
            self;
        for action in self.actions() {
            match action {
                Action::Create(new) => {
                    writeln!(f, "grant     {}", new.grant)?;
                    for cause in &new.causes {
                        writeln!(f, "          because of {cause}")?;
                    }
                }
                Action::Revoke(revocation) => {
                    writeln!(
                        f,
                        "revoke    {}\n          because {}",
                        revocation.grant,
                        revocation.audit_reason()
                    )?;
                }
            }
        }
        for grant in awaiting {
            writeln!(
                f,
                "due       {grant}\n          nothing justifies it; it is revoked if a second look agrees"
            )?;
        }
        for grant in held {
            writeln!(
                f,
                "held      {grant}\n          too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync"
            )?;
        }
        for Deferred { grant, until, wait } in deferred {
            let at = until.map(to_second);
            let why = match (wait, at) {
                (Wait::Altered, at) => format!(
                    "strongDM stored something else than what was asked for; it is asked again at {}",
                    at.unwrap_or_default()
                ),
                (Wait::InTheWay, Some(end)) => format!("another grant is in the way until it ends at {end}"),
                (Wait::InTheWay, None) => "another grant is in the way until somebody removes it".to_owned(),
            };
            writeln!(f, "deferred  {grant}\n          {why}")?;
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
            Some(wake) => write!(f, "; the next change by itself is at {}", to_second(*wake)),
            None => write!(f, "; nothing changes by itself"),
        }
    }
}

impl Revocation {
    /// The reason that the audit keeps: why, and who allowed it if the guard did not.
    pub(crate) fn audit_reason(&self) -> String {
        let Self { row: _, grant: _, reason, released } = self;
        let released = if *released {
            "; more were due at once than max_revocations allows, and a request released them (allow_mass_revocation)"
        } else {
            ""
        };
        format!("{reason}{released}")
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
            Self::OtherGroups => "it carries Kubernetes groups that no rule wants any more; it is granted anew without them",
            Self::MoreGroups => "more Kubernetes groups are wanted; it is granted anew with them",
            Self::Duplicate => "another grant covers all of it",
            Self::InTheWay => "strongDM takes one grant at a time, and an earlier window is wanted",
        })
    }
}
