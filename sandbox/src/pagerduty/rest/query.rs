//! Reads query parameters the way the REST API does.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, TimeDelta, Utc};

use super::error::ApiError;
use super::page::Page;
use crate::pagerduty::render::Range;
use crate::pagerduty::time::Zone;

/// The decoded parameters in their order.
#[derive(Clone, Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The decoded query, for the log and for matching faults.
    pub(crate) fn readable(&self) -> String {
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// The last value of `name`.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The values of `name[]`, if there are any. Without the brackets the parameter is refused.
    pub(crate) fn list(&self, name: &str) -> Result<Option<Vec<&str>>, ApiError> {
        if self.one(name).is_some() {
            return Err(ApiError::invalid(format!("{name} must be an array")));
        }
        let values = self.0.iter().filter(|(key, _)| key.strip_suffix("[]") == Some(name));
        let values = values.map(|(_, value)| value.as_str()).collect::<Vec<_>>();
        Ok(if values.is_empty() { None } else { Some(values) })
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.one(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::invalid(format!("{name} must be true or false"))),
        }
    }

    /// Whether `include[]` asks for this.
    pub(crate) fn includes(&self, what: &str) -> Result<bool, ApiError> {
        Ok(self.list("include")?.is_some_and(|included| included.contains(&what)))
    }

    pub(crate) fn zone(&self) -> Result<Option<Zone>, ApiError> {
        let zone = self.one("time_zone").map(|name| {
            Zone::named(name).ok_or_else(|| ApiError::invalid(format!("time_zone {name} is not valid")))
        });
        zone.transpose()
    }

    pub(crate) fn time(&self, name: &str, zone: Zone) -> Result<Option<DateTime<Utc>>, ApiError> {
        let time = self.one(name).map(|text| {
            zone.parse(text).ok_or_else(|| ApiError::invalid(format!("{name} is not a valid date")))
        });
        time.transpose()
    }

    /// `since` and `until`; if one is missing, it lies two weeks from the other. Nothing if both are missing.
    pub(crate) fn two_weeks(&self, zone: Zone) -> Result<Option<Range>, ApiError> {
        let weeks = TimeDelta::weeks(2);
        let range = match (self.time("since", zone)?, self.time("until", zone)?) {
            (None, None) => return Ok(None),
            (Some(since), None) => Range { since, until: since + weeks },
            (None, Some(until)) => Range { since: until - weeks, until },
            (Some(since), Some(until)) => Range { since, until },
        };
        checked(range).map(Some)
    }

    /// `since` and `until`, both required.
    pub(crate) fn both_ends(&self, zone: Zone) -> Result<Range, ApiError> {
        match (self.time("since", zone)?, self.time("until", zone)?) {
            (Some(since), Some(until)) => checked(Range { since, until }),
            (None, _) => Err(ApiError::invalid("since is required")),
            (_, None) => Err(ApiError::invalid("until is required")),
        }
    }

    /// `limit`, which is `default` if missing and `max` at most, with `offset` and `total`.
    pub(crate) fn page(&self, default: usize, max: usize) -> Result<Page, ApiError> {
        let number = |name: &str, default: usize| match self.one(name) {
            None => Ok(default),
            Some(text) => {
                text.parse().map_err(|_| ApiError::invalid(format!("{name} must be a whole number")))
            }
        };
        let limit: usize = number("limit", default)?.clamp(1, max);
        let offset = number("offset", 0)?;
        if limit + offset > 10_000 {
            return Err(ApiError::invalid("offset plus limit must not be more than 10000"));
        }
        Ok(Page { limit, offset, total: self.flag("total")? })
    }
}

/// Refuses a range that ends before it starts, or that is longer than PagerDuty computes shifts for.
pub(crate) fn checked(range: Range) -> Result<Range, ApiError> {
    if range.until < range.since {
        return Err(ApiError::invalid("until cannot be before since"));
    }
    if range.until - range.since > TimeDelta::days(90) {
        return Err(ApiError::invalid("the range must not be longer than 90 days"));
    }
    Ok(range)
}
