//! Converts strongDM's messages into our types, and our types into its messages. Pure.

use chrono::{DateTime, Utc};
use prost::Message;
use prost_types::Timestamp;

use super::{
    access_rule,
    error::Error,
    grant::RemoteGrant,
    proto::{self, AccountGrant, ResourceFields, User, account},
};
use crate::model::{Account, AccountId, Email, GrantId, Resource, ResourceId};

/// The account, if it is a user's and has exactly this address; accounts of services and tokens never match.
pub(super) fn account_of(email: &Email, account: proto::Account) -> Result<Option<Account>, Error> {
    match &account.account {
        Some(account::Account::User(user)) if email.matches(&user.email) => {
            Ok(self::account(account)?.map(|(_, account)| account))
        }
        Some(account::Account::User(_) | account::Account::Service(_) | account::Account::Token(_))
        | None => Ok(None),
    }
}

/// The account with its address, if it is a user's.
pub(super) fn account(account: proto::Account) -> Result<Option<(String, Account)>, Error> {
    match account.account {
        Some(account::Account::User(user)) => {
            let suspended = suspended(&user);
            let id = AccountId::from(identifier("account", user.id)?);
            Ok(Some((user.email, Account { id, suspended })))
        }
        Some(account::Account::Service(_) | account::Account::Token(_)) | None => Ok(None),
    }
}

/// The deprecated fields still count, because it is not documented which of them strongDM fills.
fn suspended(user: &User) -> bool {
    user.suspended
        || user.suspended_ro
        || user.permission_level == "suspended"
        || user.permission_level_rw == "suspended"
}

/// A resource of whatever kind.
///
/// On the wire it is a oneof: its only field's number is the kind, and the fields that every kind has bear the same numbers
/// in every payload. So new kinds need no new code, and host names or credentials of a resource are never read.
pub(super) fn resource(item: &[u8]) -> Result<Resource, Error> {
    let payload = payload(item).ok_or_else(|| Error::Invalid("a resource is malformed".to_owned()))?;
    let ResourceFields { id, name } = ResourceFields::decode(payload)
        .map_err(|error| Error::Invalid(format!("a resource is malformed: {error}")))?;
    Ok(Resource { id: ResourceId::from(identifier("resource", id)?), name })
}

/// The content of the last field: of several members of a oneof, the last one counts.
fn payload(mut item: &[u8]) -> Option<&[u8]> {
    const LENGTH_DELIMITED: u64 = 2;
    let mut last = None;
    while !item.is_empty() {
        let key = varint(&mut item)?;
        if key & 7 != LENGTH_DELIMITED || key >> 3 == 0 {
            return None;
        }
        let length = usize::try_from(varint(&mut item)?).ok()?;
        let (payload, rest) = item.split_at_checked(length)?;
        last = Some(payload);
        item = rest;
    }
    last
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A grant as strongDM lists it.
pub(super) fn grant(grant: AccountGrant) -> Result<RemoteGrant, Error> {
    let AccountGrant { id, resource_id, account_id, start_from, valid_until, access_rule } = grant;
    Ok(RemoteGrant {
        id: GrantId::from(identifier("account grant", id)?),
        account: AccountId::from(account_id),
        resource: ResourceId::from(resource_id),
        start: instant(start_from),
        end: instant(valid_until),
        groups: access_rule::read(&access_rule),
    })
}

fn identifier(of: &str, id: String) -> Result<String, Error> {
    if id.is_empty() { Err(Error::Invalid(format!("an {of} without an id"))) } else { Ok(id) }
}

/// The instant of a message, in whole seconds; none if it is the epoch, which means not set, as in strongDM's own clients.
/// A year out of our range becomes the farthest instant that we can express, rather than unset.
pub(super) fn instant(at: Option<Timestamp>) -> Option<DateTime<Utc>> {
    let Timestamp { seconds, nanos } = at?;
    if (seconds, nanos) == (0, 0) {
        return None;
    }
    let farthest = if seconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    Some(DateTime::from_timestamp(seconds, 0).unwrap_or(farthest))
}

/// The instant as it is sent, in whole seconds.
pub(super) fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strongdm::proto::{Service, Token};

    fn user(user: User) -> proto::Account {
        proto::Account { account: Some(account::Account::User(user)) }
    }

    fn alice() -> User {
        User { id: "a-1".into(), email: "Alice@Corp.example".into(), ..User::default() }
    }

    fn email() -> Email {
        "alice@corp.example".parse().unwrap()
    }

    /// A resource on the wire: the kind is the field number of its payload.
    fn item(kind: u32, id: &str, name: &str) -> Vec<u8> {
        let payload = ResourceFields { id: id.into(), name: name.into() }.encode_to_vec();
        let mut item = varint_of(u64::from(kind) << 3 | 2);
        item.extend(varint_of(payload.len() as u64));
        item.extend(payload);
        item
    }

    fn varint_of(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
            value >>= 7;
        }
        bytes.push(u8::try_from(value).unwrap());
        bytes
    }

    #[test]
    fn only_a_user_with_the_whole_address_is_an_account() {
        let found = account_of(&email(), user(alice()));
        assert_eq!(found, Ok(Some(Account { id: "a-1".into(), suspended: false })));

        let other = User { email: "malice@corp.example".into(), ..alice() };
        assert_eq!(account_of(&email(), user(other)), Ok(None));
        for kind in [
            account::Account::Service(Service { id: "a-1".into() }),
            account::Account::Token(Token { id: "a-1".into() }),
        ] {
            assert_eq!(account_of(&email(), proto::Account { account: Some(kind) }), Ok(None));
        }
        assert_eq!(account_of(&email(), proto::Account { account: None }), Ok(None));
    }

    #[test]
    fn a_user_without_an_id_is_unusable() {
        let nameless = User { id: String::new(), ..alice() };
        assert!(matches!(account_of(&email(), user(nameless)), Err(Error::Invalid(_))));
    }

    #[test]
    fn old_and_new_fields_can_suspend() {
        for (user, expected) in [
            (alice(), false),
            (User { suspended: true, ..alice() }, true),
            (User { suspended_ro: true, ..alice() }, true),
            (User { permission_level: "suspended".into(), ..alice() }, true),
            (User { permission_level_rw: "suspended".into(), ..alice() }, true),
            (User { permission_level_rw: "admin".into(), permission_level: "user".into(), ..alice() }, false),
        ] {
            assert_eq!(suspended(&user), expected, "{user:?}");
        }
    }

    #[test]
    fn suspension_is_read_from_the_numbers_of_the_wire() {
        let tag = |number: u64, bytes: &[u8]| [varint_of(number << 3), bytes.to_vec()].concat();
        for wire in [tag(5, &[1]), tag(10, &[1])] {
            assert!(suspended(&User::decode(wire.as_slice()).unwrap()));
        }
    }

    #[test]
    fn a_resource_of_an_unknown_kind_is_a_resource() {
        for kind in [5, 2000, 9001] {
            let expected = Resource { id: "rs-1".into(), name: "prod".into() };
            assert_eq!(resource(&item(kind, "rs-1", "prod")), Ok(expected));
        }
    }

    #[test]
    fn the_fields_that_a_kind_has_for_itself_are_skipped() {
        let mut payload = [varint_of(1 << 3 | 2), vec![2, b'p', b'w']].concat();
        payload.extend(ResourceFields { id: "rs-1".into(), name: "prod".into() }.encode_to_vec());
        let wire = [varint_of(9001 << 3 | 2), varint_of(payload.len() as u64), payload].concat();
        assert_eq!(resource(&wire).unwrap().name, "prod");
    }

    #[test]
    fn the_last_member_of_the_oneof_counts() {
        let two = [item(5, "rs-1", "one"), item(9001, "rs-2", "two")].concat();
        assert_eq!(resource(&two).unwrap().id, "rs-2".into());
    }

    #[test]
    fn a_malformed_resource_is_invalid() {
        let whole = item(9001, "rs-1", "prod");
        let cut = &whole[..whole.len() - 1];
        for wire in
            [&[][..], cut, &[0x80], &[0xff; 11], &[0x08, 0x01], &[0x2a, 0x01, 0xff], &item(5, "", "x")]
        {
            assert!(matches!(resource(wire), Err(Error::Invalid(_))), "{wire:x?}");
        }
    }

    #[test]
    fn times_are_whole_seconds_and_the_epoch_is_unset() {
        let at = |seconds, nanos| instant(Some(Timestamp { seconds, nanos }));
        assert_eq!(instant(None), None);
        assert_eq!(at(0, 0), None);
        assert_eq!(at(1_800_000_000, 999_999_999), DateTime::from_timestamp(1_800_000_000, 0));
        assert_eq!(at(i64::MAX, 0), Some(DateTime::<Utc>::MAX_UTC));
    }

    #[test]
    fn a_grant_needs_its_id() {
        let wire =
            AccountGrant { account_id: "a-1".into(), resource_id: "rs-1".into(), ..AccountGrant::default() };
        assert!(matches!(grant(wire), Err(Error::Invalid(_))));
    }
}
