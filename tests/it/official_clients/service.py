"""What the test hands over, and the few questions that are put to the service itself."""

import json
import os
import urllib.request
from datetime import datetime

GIVEN = json.loads(os.environ["GIVEN"])


def ask(path, method="GET"):
    """The JSON answer of the service."""
    request = urllib.request.Request(
        GIVEN["service"] + path,
        method=method,
        headers={"Authorization": "Bearer " + GIVEN["admin_token"]},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)


def settled_grants():
    """What the service has granted, once it has nothing left to do."""
    report = ask("/sync", method="POST")
    assert not report["created"] and not report["revoked"], f"a second pass wrote something: {report}"
    grants = ask("/api/grants")
    assert grants, "the service granted nothing"
    return grants


def instant(text):
    """A point in time, whatever its offset."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def same(what, one, other):
    """Says what differs, instead of printing both sides whole."""
    one, other = list(one), list(other)
    missing = [item for item in other if item not in one]
    surplus = [item for item in one if item not in other]
    assert len(one) == len(other) and not missing and not surplus, (
        f"{what}: {len(one)} and {len(other)}; only the first has {surplus[:3]}, only the second has {missing[:3]}"
    )
    print(f"ok  {what}: {len(one)}")


def refused(what, error, call, *args, **kwargs):
    """The call must fail with this very class of the client."""
    try:
        call(*args, **kwargs)
    except Exception as raised:  # noqa: BLE001: any other class is the finding
        assert type(raised) is error, f"{what}: expected {error.__name__}, got {raised!r}"
        print(f"ok  {what}: {error.__name__}")
        return raised
    raise AssertionError(f"{what}: expected {error.__name__}, but it went through")
