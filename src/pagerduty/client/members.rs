//! Who belongs to a team, a schedule or an escalation policy, on call or not.

use std::collections::BTreeSet;

use futures_util::FutureExt;

use super::{Client, operation::Operation, request::Request, schedules::Kind};
use crate::{
    model::{Group, PolicyId, ScheduleId, TeamId, UserId},
    pagerduty::{
        Error,
        wire::{LayerMembersBody, ShiftMembersBody, TeamMemberPage},
    },
};

const PAGE: u64 = 100;
/// A team with more members than this makes nobody eligible.
const MOST: usize = 10_000;

impl Client {
    /// The members of a group; an error if it does not exist, is hidden, does not tell, or tells nobody: an empty group
    /// makes nobody eligible, and one that is empty all of a sudden must not end anybody's access.
    pub(crate) async fn members(&self, group: &Group) -> Result<BTreeSet<UserId>, Error> {
        let members = match group {
            Group::Team(id) => self.team_members(id).await,
            Group::Schedule(id) => self.schedule_members(id).await,
            Group::Policy(id) => self.policy_members(id).await,
        }?;
        if members.is_empty() {
            return Err(Error::Invalid(format!("{group} has no members")));
        }
        Ok(members)
    }

    async fn team_members(&self, id: &TeamId) -> Result<BTreeSet<UserId>, Error> {
        let mut found = BTreeSet::new();
        let mut received = 0;
        while received < MOST {
            let mut url = self.url(["teams", id.as_str(), "members"])?;
            url.query_pairs_mut()
                .append_pair("limit", &PAGE.to_string())
                .append_pair("offset", &received.to_string())
                .append_pair("total", "true");
            let TeamMemberPage { members, page } =
                self.fetch(Request::get(Operation::TeamMembers, url)).await?;
            page.check(received as u64, members.len())?;
            received += members.len();
            found.extend(members.into_iter().map(|member| UserId::from(member.user.id.0)));
            if !page.more {
                let is_whole = page.total.is_none_or(|total| total == received as u64);
                let short =
                    || Error::Invalid(format!("team {id}: entries are missing in the list of its members"));
                return is_whole.then_some(found).ok_or_else(short);
            }
        }
        Err(Error::Invalid(format!("team {id} has over {MOST} members")))
    }

    /// A schedule's members, as they stand in its layers or rotations.
    async fn schedule_members(&self, id: &ScheduleId) -> Result<BTreeSet<UserId>, Error> {
        self.as_either_kind(id, |kind| self.schedule_members_as(kind, id).boxed()).await
    }

    async fn schedule_members_as(&self, kind: Kind, id: &ScheduleId) -> Result<BTreeSet<UserId>, Error> {
        match kind {
            Kind::LayerBased => {
                let url = self.url(["schedules", id.as_str()])?;
                let LayerMembersBody { schedule } =
                    self.fetch(Request::get(Operation::LayerSchedule, url)).await?;
                super::schedules::is_about(id, &schedule.id)?;
                let present = schedule.users.into_iter().filter(|user| !user.is_deleted());
                Ok(present.map(|user| UserId::from(user.id.0)).collect())
            }
            Kind::ShiftBased => {
                let url = self.url(["v3", "schedules", id.as_str()])?;
                let ShiftMembersBody { schedule } =
                    self.fetch(Request::get(Operation::ShiftSchedule, url)).await?;
                super::schedules::is_about(id, &schedule.id)?;
                schedule.members().map(|ids| ids.map(|id| UserId::from(id.0)).collect()).ok_or_else(|| {
                    Error::Invalid(format!("schedule {id}: its rotations do not tell their members"))
                })
            }
        }
    }

    async fn policy_members(&self, id: &PolicyId) -> Result<BTreeSet<UserId>, Error> {
        let mut found = BTreeSet::new();
        for level in self.policy(id).await?.levels {
            found.extend(level.users);
            for schedule in &level.schedules {
                found.extend(self.schedule_members(schedule).await?);
            }
        }
        Ok(found)
    }
}
