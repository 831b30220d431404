//! The calls that this program makes to strongDM: it lists accounts, resources and grants, and creates and deletes grants.

use std::{collections::BTreeMap, fmt, sync::Arc};

use chrono::{DateTime, Utc};
use secrecy::{SecretSlice, SecretString};
use url::Url;

use super::{
    access_rule, convert,
    error::{Error, tidy},
    filter,
    grant::RemoteGrant,
    grpc::{
        call::Caller,
        list::{Extent, PAGE, Reading},
        options::Options,
    },
    operation::Operation,
    proto::{
        AccountGrant, AccountGrantCreateRequest, AccountGrantCreateResponse, AccountGrantDeleteRequest,
        AccountGrantDeleteResponse, AccountGrantGetRequest, AccountGrantGetResponse,
        AccountGrantListResponse, AccountListResponse, ResourceListResponse,
    },
};
use crate::model::{Account, AccountId, Email, GrantId, Resource, ResourceId, Terms};

/// What a page of accounts or of all grants is asked to have: they are small, and strongDM sends as many as it will. Its
/// maximum is not documented.
const LARGE_PAGE: i32 = 1000;

/// So many grants are asked for by their IDs at once, so that no filter and no answer is large.
pub(crate) const IDS_AT_ONCE: usize = 100;

/// A client of strongDM's control plane. Clones share the connection, the rate limit and the limit on writes in flight.
#[derive(Clone)]
pub(crate) struct Client {
    caller: Arc<Caller>,
    max_filter_matches: usize,
}

/// What the access rule of a new grant names beside its groups. What strongDM wants there is not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Nothing, as the official clients do.
    Nothing,
    /// The grant's resource.
    TheResource,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the control plane at `api_url`; it connects at the first call. To be called inside a tokio runtime.
    /// Fails with [`Error::Refused`] for a URL or key that cannot be used.
    pub(crate) fn new(
        tls: rustls::ClientConfig,
        api_url: &Url,
        access_key: &SecretString,
        secret_key: SecretSlice<u8>,
        options: Options,
    ) -> Result<Self, Error> {
        let max_filter_matches = options.max_filter_matches;
        let caller = Caller::new(tls, api_url, access_key, secret_key, options)?;
        Ok(Self { caller: Arc::new(caller), max_filter_matches })
    }

    /// When strongDM's budget for writes is refilled, if it is almost used up until then: a write would wait for that.
    pub(crate) fn writes_low_until(&self) -> Option<DateTime<Utc>> {
        self.caller.writes_low_until()
    }

    /// The user accounts with exactly this address; more than one is a mistake in strongDM.
    pub(crate) async fn accounts_by_email(&self, email: &Email) -> Result<Vec<Account>, Error> {
        let filter = filter::term("email", email.as_str())?;
        let account = |item| {
            let account = convert::account_of(email, item)?;
            Ok(account.map(|account| (account.id.clone(), account)))
        };
        self.caller.list::<AccountListResponse, _, _>(&filter, account).await
    }

    /// All user accounts with their addresses, if there are no more than so many pages of them. An address that two of them
    /// have stands there twice. Pages are read one after the other, so one that comes or goes meanwhile may be missing.
    pub(crate) async fn accounts(&self, pages: usize) -> Result<Option<Vec<(String, Account)>>, Error> {
        let list = |page| {
            let account = |item| {
                let account = convert::account(item)?;
                Ok(account.map(|(email, account)| (account.id.clone(), (email, account))))
            };
            self.caller.list_up_to::<AccountListResponse, _, _>(Extent { page, pages }, "", account)
        };
        match list(LARGE_PAGE).await {
            Err(Error::InvalidArgument(_)) => list(PAGE).await,
            listed => listed,
        }
    }

    /// All resources, likewise.
    pub(crate) async fn all_resources(&self, pages: usize) -> Result<Option<Vec<Resource>>, Error> {
        let resource = |item: Vec<u8>| {
            let resource = convert::resource(&item)?;
            Ok(Some((resource.id.clone(), resource)))
        };
        self.caller.list_up_to::<ResourceListResponse, _, _>(Extent { page: PAGE, pages }, "", resource).await
    }

    /// The resources of exactly this name; more than one is a mistake in strongDM.
    pub(crate) async fn resources_by_name(&self, name: &str) -> Result<Vec<Resource>, Error> {
        let filter = filter::term("name", name)?;
        // strongDM ignores case when it searches.
        self.resources(&filter, usize::MAX, |resource| resource.name == name).await
    }

    /// The resources that an operator's own filter expression matches now. [`Error::InvalidArgument`] if strongDM does
    /// not understand it, [`Error::TooMany`] if it matches more than [`Options::max_filter_matches`].
    pub(crate) async fn resources_by_filter(&self, filter: &str) -> Result<Vec<Resource>, Error> {
        if filter.trim().is_empty() {
            return Err(Error::Refused("an empty filter would match every resource".to_owned()));
        }
        self.resources(filter, self.max_filter_matches, |_| true).await
    }

    async fn resources(
        &self,
        filter: &str,
        most: usize,
        wanted: impl Fn(&Resource) -> bool,
    ) -> Result<Vec<Resource>, Error> {
        let resource = |item: Vec<u8>| {
            let resource = convert::resource(&item)?;
            Ok(wanted(&resource).then(|| (resource.id.clone(), resource)))
        };
        self.caller.list_at_most::<ResourceListResponse, _, _>(most, filter, resource).await
    }

    /// Creates a grant; it ends when the window of its [`Terms`] does.
    ///
    /// After [`Error::Unclear`] it may exist: list with [`Client::grants_of`] before trying again.
    pub(crate) async fn create_grant(
        &self,
        account: &AccountId,
        resource: &ResourceId,
        terms: &Terms,
    ) -> Result<RemoteGrant, Error> {
        self.create_grant_naming(account, resource, terms, Naming::Nothing).await
    }

    /// The same with an access rule that names something.
    pub(crate) async fn create_grant_naming(
        &self,
        account: &AccountId,
        resource: &ResourceId,
        Terms { window, groups }: &Terms,
        naming: Naming,
    ) -> Result<RemoteGrant, Error> {
        let ids = match naming {
            Naming::Nothing => None,
            Naming::TheResource => Some(vec![resource.to_string()]),
        };
        refuse_empty("account", account.as_str())?;
        refuse_empty("resource", resource.as_str())?;
        let request = AccountGrantCreateRequest {
            meta: None,
            account_grant: Some(AccountGrant {
                id: String::new(),
                resource_id: resource.to_string(),
                account_id: account.to_string(),
                start_from: Some(convert::timestamp(window.start())),
                valid_until: Some(convert::timestamp(window.end())),
                access_rule: access_rule::write(groups, ids),
            }),
        };
        let answer: AccountGrantCreateResponse = self.caller.call(Operation::CreateGrant, &request).await?;
        // strongDM answered OK, so it created something; but answers like these do not say what.
        let unclear = |what: &str| Error::Unclear(format!("the answer to AccountGrants.Create {what}"));
        let message = answer.account_grant.ok_or_else(|| unclear("has no grant"))?;
        let grant = convert::grant(message).map_err(|_| unclear("has no id"))?;
        if grant.account != *account || grant.resource != *resource {
            return Err(unclear("is about another account or resource"));
        }
        Ok(grant)
    }

    /// The grant of this ID, if there is one.
    pub(crate) async fn get_grant(&self, id: &GrantId) -> Result<Option<RemoteGrant>, Error> {
        refuse_empty("account grant", id.as_str())?;
        let request = AccountGrantGetRequest { meta: None, id: id.to_string() };
        let answer = self.caller.call::<AccountGrantGetResponse>(Operation::GetGrant, &request).await;
        let message = match answer {
            Ok(answer) => answer.account_grant,
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let grant = message.map(convert::grant).transpose()?.filter(|grant| grant.id == *id);
        grant
            .map(Some)
            .ok_or_else(|| Error::Invalid(format!("not the grant {} asked for", tidy(id.as_str(), ""))))
    }

    /// All grants of this account for this resource, whoever created them.
    pub(crate) async fn grants_of(
        &self,
        account: &AccountId,
        resource: &ResourceId,
    ) -> Result<Vec<RemoteGrant>, Error> {
        let filter = filter::all([
            filter::term("account_id", account.as_str()),
            filter::term("resource_id", resource.as_str()),
        ])?;
        self.grants(&filter, |grant| grant.account == *account && grant.resource == *resource).await
    }

    /// Those of at most [`IDS_AT_ONCE`] grants that exist. None if strongDM needs several pages to tell, between which one
    /// could slip through.
    pub(crate) async fn grants_by_id(&self, ids: &[&GrantId]) -> Result<Option<Vec<RemoteGrant>>, Error> {
        let filter = filter::ids(ids.iter().map(|id| id.as_str()))?;
        let grant = |item| {
            let grant = convert::grant(item)?;
            Ok(ids.contains(&&grant.id).then(|| (grant.id.clone(), grant)))
        };
        self.caller
            .list_up_to::<AccountGrantListResponse, _, _>(Extent { page: PAGE, pages: 1 }, &filter, grant)
            .await
    }

    /// Reads the next page of all grants of the organisation, whoever created them; true if it was the last one. After a
    /// failure the same page is the next one.
    pub(crate) async fn more_grants(&self, list: &mut GrantList) -> Result<bool, Error> {
        let more = async |list: &mut GrantList| {
            let grant = |item| {
                let grant = convert::grant(item)?;
                Ok(Some((grant.id.clone(), grant)))
            };
            self.caller.next_page::<AccountGrantListResponse, _, _>(&mut list.reading, "", grant).await
        };
        match more(list).await {
            Err(Error::InvalidArgument(_)) if list.pages() == 0 && list.reading.page() != PAGE => {
                *list = GrantList::with_small_pages();
                more(list).await
            }
            read => read,
        }
    }

    /// The first page of all grants, if so many are asked for: how many came, and whether there are more.
    pub(crate) async fn grant_page(&self, limit: i32) -> Result<(usize, bool), Error> {
        let grant = |item| convert::grant(item).map(|grant| Some((grant.id.clone(), grant)));
        let mut reading: Reading<GrantId, RemoteGrant> = Reading::new(limit);
        let is_last =
            self.caller.next_page::<AccountGrantListResponse, _, _>(&mut reading, "", grant).await?;
        Ok((reading.found().len(), !is_last))
    }

    async fn grants(
        &self,
        filter: &str,
        wanted: impl Fn(&RemoteGrant) -> bool,
    ) -> Result<Vec<RemoteGrant>, Error> {
        let grant = |item| {
            let grant = convert::grant(item)?;
            Ok(wanted(&grant).then(|| (grant.id.clone(), grant)))
        };
        self.caller.list::<AccountGrantListResponse, _, _>(filter, grant).await
    }

    /// Deletes a grant. It is no error if there is none any more: it ended, somebody else deleted it, or an earlier attempt
    /// did and its answer was lost. After [`Error::Unclear`] the grant may be gone; deleting it again is safe.
    pub(crate) async fn delete_grant(&self, id: &GrantId) -> Result<(), Error> {
        refuse_empty("account grant", id.as_str())?;
        let request = AccountGrantDeleteRequest { meta: None, id: id.to_string() };
        match self.caller.call::<AccountGrantDeleteResponse>(Operation::DeleteGrant, &request).await {
            Ok(_) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The list of all grants while it is being read. Pages are read one after the other, at different times: a grant that
/// comes, goes or moves between them meanwhile may be missing.
#[derive(Debug)]
pub(crate) struct GrantList {
    reading: Reading<GrantId, RemoteGrant>,
}

impl Default for GrantList {
    fn default() -> Self {
        Self { reading: Reading::new(LARGE_PAGE) }
    }
}

impl GrantList {
    /// One that asks for less at a time.
    pub(crate) fn with_small_pages() -> Self {
        Self { reading: Reading::new(PAGE) }
    }

    /// How many pages were read, but for the last one.
    pub(crate) fn pages(&self) -> usize {
        self.reading.pages()
    }

    /// What was read, once each.
    pub(crate) fn grants(self) -> BTreeMap<GrantId, RemoteGrant> {
        self.reading.found()
    }
}

fn refuse_empty(what: &str, id: &str) -> Result<(), Error> {
    if id.is_empty() { Err(Error::Refused(format!("an empty {what} id"))) } else { Ok(()) }
}
