//! Why somebody has, or lacks, access: the chain from rule to grant, and the link that is missing. Pure, apart from
//! `gather.rs`, which asks both upstreams and the store.
//!
//! `person.rs` finds out who is meant, and `subject.rs` which resources. `chain.rs` follows one rule through one
//! schedule, policy or service, with `on_call.rs` for the shift, `incident.rs` for the part in an incident and
//! `grant.rs` for the grant at the end; all of them tell what they find as links (`link.rs`). `verdict.rs` concludes
//! from all chains, `answer.rs` puts the answer together, and `words.rs` tells it to people.

mod answer;
mod chain;
mod gather;
mod grant;
mod incident;
mod link;
mod on_call;
mod person;
mod question;
mod subject;
mod verdict;
mod words;

pub(crate) use self::{answer::Explanation, gather::explain_now, question::Question, verdict::Access};

#[cfg(test)]
mod tests;
