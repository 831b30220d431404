"""PagerDuty's own client against the stand-in: who it sees on call is who the service let in."""

import warnings
from datetime import datetime, timedelta, timezone

import httpx2
import pagerduty

from service import GIVEN, instant, refused, same, settled_grants

# A page without `more`, or a list that is cut short, is only worth a warning to the client.
warnings.simplefilter("error")

DAY = timedelta(days=1)


class ToStandIn(httpx2.HTTPTransport):
    """The client insists on https; so it talks to the real host, and only the wire leads elsewhere."""

    def handle_request(self, request):
        there = httpx2.URL(GIVEN["pagerduty"])
        request.url = request.url.copy_with(scheme=there.scheme, host=there.host, port=there.port)
        return super().handle_request(request)


def client(token=GIVEN["token"], **options):
    client = pagerduty.RestApiV2Client(token, transport=ToStandIn(), **options)
    # Nothing is expected to fail here, so there is nothing to wait for.
    client.max_network_attempts = 0
    return client


def on_calls(pd, schedules, until, **options):
    now = datetime.now(timezone.utc)
    params = {
        "schedule_ids": schedules,
        "since": now.isoformat(),
        "until": (now + until).isoformat(),
        "time_zone": "UTC",
        "include": ["users"],
    }
    return list(pd.iter_all("oncalls", params=params, **options))


def shifts_agree(pd, grants):
    schedule = GIVEN["schedule"]
    listed = on_calls(pd, [schedule], 7 * DAY)
    assert all(entry["schedule"]["id"] == schedule for entry in listed)
    same("on-calls in pages of three", sorted(map(key, on_calls(pd, [schedule], 7 * DAY, page_size=3))),
         sorted(map(key, listed)))
    shifts = {(entry["user"]["email"].lower(), instant(entry["end"])) for entry in listed}
    granted = {(grant["email"], instant(grant["end"])) for grant in grants if grant["resource"] == "prod-postgres"}
    suspended = {shift for shift in shifts if shift[0] == "cem@example.com"}
    assert suspended, "somebody on call must be without access"
    same("shifts that the service let in", sorted(granted), sorted(shifts - suspended))
    starts = {instant(entry["start"]) for entry in listed}
    now = datetime.now(timezone.utc)
    coming = [grant for grant in grants if grant["resource"] == "prod-postgres" and instant(grant["start"]) > now]
    assert all(instant(grant["start"]) in starts for grant in coming), "a coming grant starts with its shift"

    v3 = {(entry["user"]["email"].lower(), entry["schedule"]["type"]) for entry in on_calls(pd, [GIVEN["v3_schedule"]], DAY)}
    same("two at once in a shift-based schedule", sorted(v3),
         [("bo.chen@example.com", "schedule_v3_reference"), ("deniz@example.com", "schedule_v3_reference")])
    always = [entry for entry in pd.iter_all("oncalls", params={"escalation_policy_ids": [GIVEN["policy"]]})
              if entry["start"] is None and entry["end"] is None]
    same("always on call", [(entry["user"]["id"], entry["schedule"]) for entry in always], [(GIVEN["always"], None)])
    assert on_calls(pd, [GIVEN["lonely_schedule"]], DAY) == [], "a schedule in no policy is not listed"


def key(entry):
    return (entry["escalation_level"], entry["user"]["id"], entry["start"], entry["end"])


def people(pd):
    users = pd.dict_all("users", by="id")
    same("users", sorted(users), sorted(GIVEN["users"]))
    assert pd.get_total("users") == len(GIVEN["users"])
    same("users in pages of seven", sorted(user["id"] for user in pd.iter_all("users", page_size=7)), sorted(users))
    anyone = GIVEN["users"][0]
    assert pd.rget(f"/users/{anyone}") == users[anyone], "the list and the single user must agree"
    assert pd.find("users", "Ana Lima", attribute="name")["email"] == "ana@example.com"


def schedules(pd):
    layers = {schedule["id"] for schedule in pd.iter_all("schedules")}
    same("layer-based schedules", sorted(layers), sorted([GIVEN["schedule"], GIVEN["lonely_schedule"]]))
    shifts = {schedule["id"] for schedule in pd.iter_all("v3/schedules")}
    same("shift-based schedules", shifts, [GIVEN["v3_schedule"]])
    now = datetime.now(timezone.utc)
    window = {"since": now.isoformat(), "until": (now + DAY).isoformat(), "time_zone": "UTC"}
    entries = pd.rget(f"/schedules/{GIVEN['schedule']}", params=window)["final_schedule"]["rendered_schedule_entries"]
    assert entries and all(entry["user"]["id"] in GIVEN["users"] for entry in entries), entries
    same("the same shifts from the schedule itself",
         [entry["user"]["id"] for entry in entries],
         [entry["user"]["id"] for entry in sorted(on_calls(pd, [GIVEN["schedule"]], DAY), key=lambda e: e["start"])])
    v3 = pd.rget(f"/v3/schedules/{GIVEN['v3_schedule']}", params=window | {"include[]": "final_schedule"})
    assert v3["final_schedule"]["computed_shift_assignments"], v3
    policy = pd.rget(f"/escalation_policies/{GIVEN['policy']}")
    same("levels of the policy", [len(rule["targets"]) for rule in policy["escalation_rules"]], [1, 1, 1])


def incidents(pd):
    params = {"date_range": "all", "statuses": ["triggered", "acknowledged"], "include": ["assignees"]}
    listed = list(pd.iter_all("incidents", params=params, page_size=2))
    same("incidents", [incident["incident_number"] for incident in listed], [1, 2, 3])
    assert all(incident["assignments"][0]["assignee"]["id"] == GIVEN["assignee"] for incident in listed), listed
    assert "email" in listed[0]["assignments"][0]["assignee"], "the include shows the whole user"
    one = pd.rget(f"/incidents/{listed[0]['id']}")
    same("an incident alone", (one["title"], one["created_at"]), (listed[0]["title"], listed[0]["created_at"]))
    members = pd.iter_all(f"teams/{GIVEN['team']}/members", page_size=2)
    same("members", [member["user"]["id"] for member in members], GIVEN["members"])
    same("priorities", [priority["id"] for priority in pd.iter_all("priorities")], GIVEN["priorities"])


def apps():
    app = pagerduty.OAuthTokenClient(GIVEN["client_secret"], GIVEN["client_id"], transport=ToStandIn())
    token = app.get_scoped_app_token(f"as_account-us.{GIVEN['subdomain']} users.read nonsense")
    same("scopes", token["scope"].split(), [f"as_account-us.{GIVEN['subdomain']}", "users.read"])
    pd = client(token["access_token"], auth_type="bearer")
    assert pd.rget("/users/" + GIVEN["users"][0])
    error = refused("what the token has no scope for", pagerduty.HttpError, lambda: pd.rget("/incidents"))
    assert error.response.status_code == 403, error.response.status_code


def subscriptions(pd):
    wanted = {
        "type": "webhook_subscription",
        "delivery_method": {"type": "http_delivery_method", "url": GIVEN["service"] + "/webhooks/pagerduty"},
        "description": "made by PagerDuty's own client",
        "events": ["incident.triggered"],
        "filter": {"type": "account_reference"},
    }
    made = pd.rpost("webhook_subscriptions", json=wanted)
    assert made["delivery_method"]["secret"], "the secret is shown once"
    listed, = pd.iter_all("webhook_subscriptions")
    assert listed["id"] == made["id"] and listed["delivery_method"]["secret"] is None, listed
    pd.rdelete(f"/webhook_subscriptions/{made['id']}")
    same("subscriptions at the end", list(pd.iter_all("webhook_subscriptions")), [])


def refusals(pd):
    for what, status, call in [
        ("a schedule that is not there", 404, lambda: pd.rget("/schedules/PNOTHERE")),
        ("a shift-based schedule asked the old way", 400, lambda: pd.rget(f"/schedules/{GIVEN['v3_schedule']}")),
        ("a wrong key", 401, lambda: client("wrong").rget("/users/" + GIVEN["users"][0])),
    ]:
        error = refused(what, pagerduty.HttpError, call)
        assert error.response.status_code == status, f"{what}: {error.response.status_code}"


def main():
    pd = client()
    shifts_agree(pd, settled_grants())
    people(pd)
    schedules(pd)
    incidents(pd)
    apps()
    subscriptions(pd)
    refusals(pd)
    print("all agreed")


main()
