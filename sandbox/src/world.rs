//! A small world around `now`, for the binary, the demo and tests; and the credentials that open it.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::pagerduty::{PagerDuty, Policy, Priority, Schedule, Service, Shift, Target, Team, User};
use crate::strongdm::{ResourceKind, StrongDm};

pub use crate::credentials::{
    ACCESS_KEY, CLIENT_ID, CLIENT_SECRET, SECRET_KEY, SUBDOMAIN, TOKEN, WEBHOOK_SECRET,
};

/// A layer-based schedule of eight-hour shifts, Ana, Bo and Cem in turn.
pub const SCHEDULE: &str = "PI7DH85";
/// A shift-based schedule with Bo and Deniz at once.
pub const V3_SCHEDULE: &str = "PV3TEAM";
/// A layer-based schedule that no policy names, so that `/oncalls` does not show it.
pub const LONELY_SCHEDULE: &str = "PLONELY";
/// An escalation policy: level 1 is [`SCHEDULE`], level 2 is [`V3_SCHEDULE`], level 3 is Cem himself.
pub const POLICY: &str = "PT20YPA";
/// A service whose incidents follow [`POLICY`].
pub const SERVICE: &str = "PSPAY01";

/// Ana Lima, `ana@example.com`.
pub const ANA: &str = "PA1NAL7";
/// Bo Chen, `Bo.Chen@Example.com` in PagerDuty, `bo.chen@example.com` in strongDM.
pub const BO: &str = "PB2BOC8";
/// Cem Öz, `cem@example.com`.
pub const CEM: &str = "PC3CEM9";
/// Deniz Kaya, `deniz@example.com`: on call in PagerDuty, without a strongDM account.
pub const DENIZ: &str = "PD4DNZ0";

/// Ela Novak, `ela@example.com`: on call nowhere.
pub const ELA: &str = "PE5ELA2";
/// The team that the service, the policy and the schedules name: Bo, Deniz and Ela.
pub const TEAM: &str = "PT3AMPY";
/// The most severe priority.
pub const P1: &str = "PPRIO01";
/// The priority below [`P1`], and the last one.
pub const P2: &str = "PPRIO02";

/// How long each shift of [`SCHEDULE`] takes.
const TURN: TimeDelta = TimeDelta::hours(8);

/// Fills both stand-ins; no incident is open. Ana's shift began an hour before `now`, cut to the minute.
pub fn seed(pagerduty: &PagerDuty, strongdm: &StrongDm, now: DateTime<Utc>) {
    let now = now.trunc_subsecs(0);
    let begin = now - TimeDelta::seconds(now.timestamp().rem_euclid(60)) - TimeDelta::hours(1);
    seed_pagerduty(pagerduty, begin);
    seed_strongdm(strongdm);
}

fn seed_pagerduty(pagerduty: &PagerDuty, begin: DateTime<Utc>) {
    for (id, name, email) in [
        (ANA, "Ana Lima", "ana@example.com"),
        (BO, "Bo Chen", "Bo.Chen@Example.com"),
        (CEM, "Cem Öz", "cem@example.com"),
        (DENIZ, "Deniz Kaya", "deniz@example.com"),
        (ELA, "Ela Novak", "ela@example.com"),
    ] {
        pagerduty.add_user(User::new(id, name, email));
    }
    pagerduty.put_team(Team::new(TEAM, "Payments", &[BO, DENIZ, ELA]));
    pagerduty.set_priorities(vec![Priority::new(P1, "P1"), Priority::new(P2, "P2")]);
    let mut turns = Schedule::layers(SCHEDULE, "Payments primary");
    // Ten days cover the usual horizon of a week.
    for turn in 0..30 {
        let start = begin + TURN * turn;
        let user = [ANA, BO, CEM][usize::try_from(turn % 3).expect("not negative")];
        turns = turns.with(Shift::new(user, start, start + TURN));
    }
    pagerduty.put_schedule(turns);
    let day = TimeDelta::days(1);
    pagerduty.put_schedule(
        Schedule::shifts(V3_SCHEDULE, "Data platform")
            .with(Shift::new(BO, begin, begin + day))
            .with(Shift::new(DENIZ, begin, begin + day * 2))
            .with(Shift::nobody(begin + day * 2, begin + day * 3)),
    );
    pagerduty.put_schedule(Schedule::layers(LONELY_SCHEDULE, "In no policy").with(Shift::new(
        ANA,
        begin,
        begin + day,
    )));
    pagerduty.put_policy(Policy::new(
        POLICY,
        "Payments",
        vec![vec![Target::schedule(SCHEDULE)], vec![Target::schedule(V3_SCHEDULE)], vec![Target::user(CEM)]],
    ));
    pagerduty.add_service(Service { id: SERVICE.into(), name: "Payments API".into(), policy: POLICY.into() });
}

fn seed_strongdm(strongdm: &StrongDm) {
    for email in ["ana@example.com", "bo.chen@example.com", "cem@example.com", "ela@example.com"] {
        strongdm.add_user(email);
    }
    strongdm.add_service("deployer");
    strongdm.add_token("oncall-grants");
    let production = [("env", "prod")];
    strongdm.add_resource(ResourceKind::Postgres, "prod-postgres", &production);
    strongdm.add_resource(ResourceKind::Ssh, "prod-web-1", &production);
    strongdm.add_resource(ResourceKind::Kubernetes, "prod-cluster", &[("env", "prod"), ("team", "platform")]);
    strongdm.add_resource(ResourceKind::Novel, "prod-new-thing", &production);
    strongdm.add_resource(ResourceKind::Mysql, "staging-mysql", &[("env", "staging")]);
    strongdm.add_role("on-call readers");
}
