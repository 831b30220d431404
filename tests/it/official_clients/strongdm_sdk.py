"""strongDM's own SDK against the stand-in: what it lists is what the service granted, and errors are what they seem."""

from datetime import datetime, timedelta, timezone

import strongdm
from strongdm import errors

from service import GIVEN, ask, instant, same, refused, settled_grants


def client(access_key=GIVEN["access_key"], secret_key=GIVEN["secret_key"], **options):
    return strongdm.Client(access_key, secret_key, host=GIVEN["strongdm"], insecure=True, **options)


def groups_of(grant):
    """The Kubernetes groups of a grant as the SDK lists it."""
    rule = grant.access_rule or {}
    assert set(rule) <= {"privileges"} and set(rule.get("privileges", {})) <= {"k8s"}, grant.access_rule
    return tuple(rule.get("privileges", {}).get("k8s", {}).get("groups", []))


def facts(grant):
    return (
        grant.id, grant.account_id, grant.resource_id, grant.start_from, grant.valid_until, groups_of(grant)
    )


def told(grant):
    return (
        grant["id"], grant["account_id"], grant["resource_id"], instant(grant["start"]), instant(grant["end"]),
        tuple(grant.get("kubernetes_groups", []))
    )


def accounts(sdk):
    """Answers the ID of Ana's account."""
    emails = sorted(user.email for user in sdk.accounts.list("type:user"))
    same("users", emails, ["ana@example.com", "bo.chen@example.com", "cem@example.com", "ela@example.com"])
    ana, = sdk.accounts.list("email:?", "ANA@Example.com")
    assert isinstance(ana, strongdm.User) and ana.email == "ana@example.com" and not ana.suspended
    cem, = sdk.accounts.list("email:?", "cem@example.com")
    assert cem.suspended, "a suspension must be visible to the SDK"
    same("users that are not suspended", sorted(u.email for u in sdk.accounts.list("type:user suspended:false")),
         ["ana@example.com", "bo.chen@example.com", "ela@example.com"])
    kinds = {type(account) for account in sdk.accounts.list("")}
    assert kinds == {strongdm.User, strongdm.Service, strongdm.Token}, kinds
    assert list(sdk.accounts.list("email:?", "nobody@example.com")) == []
    assert sdk.accounts.get(ana.id).account.email == ana.email
    return ana.id


def resources(sdk, grants):
    postgres, = sdk.resources.list("name:?", "prod-postgres")
    assert isinstance(postgres, strongdm.Postgres) and postgres.tags == {"env": "prod"}, postgres
    for filter, args, names in [
        ("name:?", ["prod-web*"], ["prod-web-1"]),
        ("tag:?=?", ["team", "platform"], ["prod-cluster"]),
        ("tags:env=staging", [], ["staging-mysql"]),
        ("type:postgres,name:?", ["prod-*"], ["prod-postgres"]),
        ("name:?", ["nothing of this name"], []),
    ]:
        same(f"resources {filter}", [found.name for found in sdk.resources.list(filter, *args)], names)
    # The SDK gives up on a list with a type that is newer than itself. The service does not.
    refused("a type that the SDK does not know", errors.UnknownError, list, sdk.resources.list("tags:env=prod"))
    named = {grant["resource_id"]: grant["resource"] for grant in grants}
    assert "prod-new-thing" in named.values(), named
    known = {id: name for id, name in named.items() if name != "prod-new-thing"}
    same("names of the granted resources", {id: sdk.resources.get(id).resource.name for id in known}.items(), known.items())


def grants_agree(sdk, grants):
    same("grants", [facts(grant) for grant in sdk.account_grants.list("")], [told(grant) for grant in grants])
    small_pages = client(page_limit=7)
    same("grants in pages of seven", [facts(grant) for grant in small_pages.account_grants.list("")],
         [told(grant) for grant in grants])
    first = grants[0]
    account, resource = first["account_id"], first["resource_id"]
    for filter, args, wanted in [
        ("account_id:?", [account], lambda g: g["account_id"] == account),
        ("resourceId:?", [resource], lambda g: g["resource_id"] == resource),
        ("account_id:?,resource_id:?", [account, resource],
         lambda g: (g["account_id"], g["resource_id"]) == (account, resource)),
        ("id:?,id:?", [first["id"], grants[-1]["id"]], lambda g: g["id"] in (first["id"], grants[-1]["id"])),
    ]:
        same(f"grants {filter}", [facts(g) for g in sdk.account_grants.list(filter, *args)],
             [told(g) for g in grants if wanted(g)])
    assert facts(sdk.account_grants.get(first["id"]).account_grant) == told(first)
    refused("an unknown filter field", errors.BadRequestError, list, sdk.account_grants.list("colour:red"))


def writes(sdk, account):
    """Somebody else's grant: made, refused twice, left alone by the service, removed."""
    staging, = sdk.resources.list("name:?", "staging-mysql")
    start = datetime.now(timezone.utc).replace(microsecond=0)
    wanted = strongdm.AccountGrant(
        account_id=account, resource_id=staging.id, start_from=start, valid_until=start + timedelta(hours=1)
    )
    made = sdk.account_grants.create(wanted).account_grant
    assert made.id.startswith("ag-") and (made.start_from, made.valid_until) == (start, wanted.valid_until), made
    refused("a second grant", errors.AlreadyExistsError, sdk.account_grants.create, wanted)
    refused("a grant to nobody", errors.NotFoundError, sdk.account_grants.create,
            strongdm.AccountGrant(account_id="a-nobody", resource_id=staging.id, valid_until=wanted.valid_until))
    refused("a grant that ends before it starts", errors.BadRequestError, sdk.account_grants.create,
            strongdm.AccountGrant(account_id=account, resource_id=staging.id, start_from=start, valid_until=start))

    ask("/sync", method="POST")
    assert made.id not in {grant["id"] for grant in ask("/api/grants")}, "a foreign grant is not ours"
    assert facts(sdk.account_grants.get(made.id).account_grant) == facts(made), "a foreign grant must stay"

    sdk.account_grants.delete(made.id)
    refused("a removed grant", errors.NotFoundError, sdk.account_grants.get, made.id)
    refused("removing it again", errors.NotFoundError, sdk.account_grants.delete, made.id)


def groups(sdk, account):
    """The service's groups are in its grants, and what the SDK writes is read by the service."""
    cluster, = sdk.resources.list("name:?", "prod-cluster")
    ours = [grant for grant in sdk.account_grants.list("resource_id:?", cluster.id)]
    same("groups on the cluster", {groups_of(grant) for grant in ours}, {("on-call", "viewer")})
    others = {groups_of(g) for g in sdk.account_grants.list("") if g.resource_id != cluster.id}
    same("groups elsewhere", others, {()})

    # Somebody else puts another grant in the place of one of ours: in these groups and more, then in one of them only.
    first = min((grant for grant in ours if grant.account_id == account), key=lambda grant: grant.start_from)
    window = {"start_from": first.start_from, "valid_until": first.valid_until}
    place = {"account_id": account, "resource_id": cluster.id, **window}
    sdk.account_grants.delete(first.id)
    for names, waiting in [(["viewer", "on-call", "more"], 0), (["viewer"], 1)]:
        rule = {"privileges": {"k8s": {"groups": names}}}
        made = sdk.account_grants.create(strongdm.AccountGrant(access_rule=rule, **place)).account_grant
        same("the access rule that the SDK wrote", [made.access_rule], [rule])
        about = [grant["kubernetes_groups"] for grant in ask("/sync", method="POST")["deferred"]]
        same(f"grants that wait behind {names}", about, [["on-call", "viewer"]] * waiting)
        sdk.account_grants.delete(made.id)
    refused("an access rule with an unknown key", errors.BadRequestError, sdk.account_grants.create,
            strongdm.AccountGrant(access_rule={"colour": "red"}, **place))


def keys(account):
    wrong_secret = client(secret_key="d3JvbmcgYnV0IGJhc2U2NA==")
    refused("a wrong secret", errors.AuthenticationError, list, wrong_secret.accounts.list(""))
    reader = client(GIVEN["reader_key"], GIVEN["secret_key"])
    refused("a key that may only read", errors.PermissionError, reader.account_grants.create,
            strongdm.AccountGrant(account_id=account, resource_id="rs-any"))


def main():
    sdk = client()
    grants = settled_grants()
    ana = accounts(sdk)
    resources(sdk, grants)
    grants_agree(sdk, grants)
    writes(sdk, ana)
    groups(sdk, ana)
    keys(ana)
    print("all agreed")


main()
