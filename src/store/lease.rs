//! Leases on what only one replica may do at a time.

/// Something that only one replica may do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Running passes.
    Passes,
    /// Removing old rows.
    Housekeeping,
    /// Probing strongDM.
    Probing,
    /// Making checkpoints of the decision log.
    Evidence,
    /// Sending notices.
    Notices,
}

impl Duty {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Housekeeping => "housekeeping",
            Self::Probing => "probing",
            Self::Evidence => "evidence",
            Self::Notices => "notices",
        }
    }
}

/// Proof that the store gave this process a duty. When it ends, only the database can say.
#[derive(Clone, Debug)]
pub struct Lease {
    pub(super) duty: Duty,
    /// Differs from that of every other lease of this duty.
    pub(super) token: i64,
    pub(super) abandoned: bool,
    pub(super) expires: bool,
}

impl Lease {
    /// Whether the holder before neither renewed nor released it: it died, froze, or lost the database.
    pub fn was_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Whether the holder must renew it. It need not where one process owns the whole store.
    pub fn expires(&self) -> bool {
        self.expires
    }
}
