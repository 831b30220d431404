//! The `Authorization` header, and whose it is: that of an API key, or of an OAuth app's token.

use std::{collections::BTreeSet, sync::Arc};

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::{
    oauth::{Token, Tokens},
    observer::CallObserver,
};
use crate::pagerduty::Error;

/// As whom the client asks.
#[derive(Debug)]
pub(crate) enum Auth {
    /// With a REST API key.
    Key(SecretString),
    /// As an OAuth app.
    App(Arc<Tokens>),
}

/// What one request is authorised by.
pub(super) enum Authorization<'a> {
    Key(&'a SecretString),
    Token(Arc<Token>),
}

impl Auth {
    /// What the next request is authorised by; waits for a token if there is none.
    pub(super) async fn authorize(
        &self,
        observer: Option<&CallObserver>,
    ) -> Result<Authorization<'_>, Error> {
        match self {
            Self::Key(key) => Ok(Authorization::Key(key)),
            Self::App(tokens) => Ok(Authorization::Token(tokens.current(observer).await?)),
        }
    }

    /// Says that PagerDuty refused this with a 401; whether there will be something else to try.
    pub(super) fn refused(&self, authorization: &Authorization<'_>) -> bool {
        match (self, authorization) {
            (Self::App(tokens), Authorization::Token(token)) => tokens.refused(token),
            (Self::Key(_) | Self::App(_), _) => false,
        }
    }

    /// The scopes that PagerDuty granted to the OAuth app; none for an API key, or if PagerDuty does not say.
    pub(super) async fn granted(
        &self,
        observer: Option<&CallObserver>,
    ) -> Result<Option<BTreeSet<String>>, Error> {
        match self {
            Self::Key(_) => Ok(None),
            Self::App(tokens) => Ok(tokens.current(observer).await?.granted.clone()),
        }
    }
}

impl Authorization<'_> {
    /// The header. [`Error::Unauthorized`] if it would hold a character that no header may hold.
    pub(super) fn header(&self) -> Result<HeaderValue, Error> {
        let text = match self {
            Self::Key(key) => format!("Token token={}", key.expose_secret()),
            Self::Token(token) => format!("Bearer {}", token.text.expose_secret()),
        };
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| Error::Unauthorized("it has characters that no token has".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// What must not stand in any message.
    pub(super) fn secret(&self) -> &str {
        match self {
            Self::Key(key) => key.expose_secret(),
            Self::Token(token) => token.text.expose_secret(),
        }
    }

    /// Says that PagerDuty took it.
    pub(super) fn taken(&self) {
        if let Self::Token(token) = self {
            token.taken();
        }
    }
}
