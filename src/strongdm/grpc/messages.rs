//! What the generated messages have in common: traits for the generic call and the generic list.

use crate::strongdm::{
    operation::Operation,
    proto::{
        Account, AccountGrant, AccountGrantCreateResponse, AccountGrantDeleteResponse,
        AccountGrantGetResponse, AccountGrantListRequest, AccountGrantListResponse, AccountListRequest,
        AccountListResponse, ListRequestMetadata, RateLimitMetadata, ResourceListRequest,
        ResourceListResponse,
    },
};

/// An answer; each says how much of the rate limit is left.
pub(crate) trait Answer: prost::Message + Default {
    fn rate_limit(&self) -> Option<&RateLimitMetadata>;
}

macro_rules! answers {
    ($($answer:ident),*) => {
        $(impl Answer for $answer {
            fn rate_limit(&self) -> Option<&RateLimitMetadata> {
                self.rate_limit.as_ref()
            }
        })*
    };
}

answers!(
    AccountListResponse,
    ResourceListResponse,
    AccountGrantCreateResponse,
    AccountGrantGetResponse,
    AccountGrantDeleteResponse,
    AccountGrantListResponse
);

/// One page of a list.
pub(crate) trait Page: Answer {
    type Request: prost::Message;
    type Item;
    const OPERATION: Operation;

    fn request(filter: &str, meta: ListRequestMetadata) -> Self::Request;

    /// The items, and the cursor of the next page; empty at the end.
    fn into_parts(self) -> (Vec<Self::Item>, String);
}

macro_rules! page {
    ($request:ident => $page:ident.$items:ident: $item:ty, $operation:ident) => {
        impl Page for $page {
            type Request = $request;
            type Item = $item;
            const OPERATION: Operation = Operation::$operation;

            fn request(filter: &str, meta: ListRequestMetadata) -> $request {
                $request { meta: Some(meta), filter: filter.to_owned() }
            }

            fn into_parts(self) -> (Vec<$item>, String) {
                (self.$items, self.meta.unwrap_or_default().next_cursor)
            }
        }
    };
}

page!(AccountListRequest => AccountListResponse.accounts: Account, ListAccounts);
page!(ResourceListRequest => ResourceListResponse.resources: Vec<u8>, ListResources);
page!(AccountGrantListRequest => AccountGrantListResponse.account_grants: AccountGrant, ListGrants);
