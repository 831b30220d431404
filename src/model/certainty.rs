//! How sure it is who sent something.

use serde::{Deserialize, Serialize};

/// How sure it is that PagerDuty sent what came in the name of our subscription and was signed with no secret of ours.
///
/// The name is not signed, and PagerDuty's addresses change and are hidden by proxies. So the name alone is a claim that
/// anybody can make who has seen it once, and no reason to wake somebody. There are two proofs, and no stranger can forge
/// either: a client certificate that `server.client_names` demands, and PagerDuty itself, which switches off the
/// subscription whose deliveries were refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// It may be anybody.
    #[default]
    Claimed,
    /// It was PagerDuty.
    Proved,
}

impl Certainty {
    /// Each, from doubtful to certain.
    pub const ALL: [Self; 2] = [Self::Claimed, Self::Proved];

    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Proved => "proved",
        }
    }
}
