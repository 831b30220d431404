//! The `Authorization` header.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::pagerduty::Error;

/// The header of a REST API key. [`Error::Unauthorized`] if the key holds a character that no header may hold.
pub(super) fn header(token: &SecretString) -> Result<HeaderValue, Error> {
    let text = format!("Token token={}", token.expose_secret());
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Error::Unauthorized("it has characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
