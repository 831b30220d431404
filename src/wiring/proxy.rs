//! Which proxy leads to an upstream. One reading of the environment for both, so that none goes another way than the other.

use std::env;

use anyhow::{Context, ensure};
use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::Proxy;
use url::Url;

use crate::model::is_loopback;

/// The variables that may name the proxy, the first of them that says something counts. `HTTP_PROXY` is for plain HTTP,
/// which goes to loopback addresses only.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The proxy for requests to `url`; none for a loopback address, since a proxy would read the token, and none for what
/// `NO_PROXY` names.
///
/// # Errors
/// If the environment names a proxy that cannot be used: to go past it would be a surprise.
pub(crate) fn proxy_for(url: &Url) -> anyhow::Result<Option<Intercept>> {
    choose(url, |name| env::var(name).ok().filter(|value| !value.is_empty()))
}

/// The same for an HTTP client.
///
/// # Errors
/// As above.
pub(crate) fn http_proxy_for(url: &Url) -> anyhow::Result<Option<Proxy>> {
    let Some(proxy) = proxy_for(url)? else { return Ok(None) };
    let through = Proxy::all(proxy.uri().to_string())?;
    Ok(Some(match proxy.basic_auth() {
        Some(auth) => through.custom_http_auth(auth.clone()),
        None => through,
    }))
}

fn choose(url: &Url, variable: impl Fn(&'static str) -> Option<String>) -> anyhow::Result<Option<Intercept>> {
    let named = VARIABLES.into_iter().find_map(|name| Some((name, variable(name)?)));
    let Some((name, proxy)) = named.filter(|_| !is_loopback(url)) else { return Ok(None) };
    let exceptions = EXCEPTIONS.into_iter().find_map(&variable).unwrap_or_default();
    let host = url.host_str().context("an address without a host")?;
    let destination = Uri::builder().scheme("https").authority(host).path_and_query("/").build()?;
    let through =
        |proxy: &str| Matcher::builder().https(proxy).no(exceptions.as_str()).build().intercept(&destination);
    if through("http://any.invalid").is_none() {
        return Ok(None);
    }
    // Its value may hold a password, and is not told.
    let proxy = through(&proxy).with_context(|| {
        format!("the variable {name} holds no address of a proxy, such as http://proxy.example.com:3128")
    })?;
    let scheme = proxy.uri().scheme_str();
    ensure!(matches!(scheme, Some("http" | "https")), "the variable {name} must name an http or https proxy");
    Ok(Some(proxy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &'static str| {
            variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
        };
        let proxy = choose(&url.parse().unwrap(), variable).map_err(|error| error.to_string())?;
        Ok(proxy.map(|proxy| proxy.uri().to_string()))
    }

    #[test]
    fn the_environment_says_which_proxy_leads_where() {
        const API: &str = "https://api.pagerduty.com";
        let proxy = Some("http://proxy.example:3128/".to_owned());
        for (url, variables, expected) in [
            (API, &[][..], None),
            (API, &[("HTTPS_PROXY", "http://u:p@proxy.example:3128")], proxy.clone()),
            (API, &[("https_proxy", "proxy.example:3128")], proxy.clone()),
            (API, &[("ALL_PROXY", "http://proxy.example:3128")], proxy.clone()),
            (API, &[("HTTP_PROXY", "http://proxy.example:3128")], None),
            (API, &[("ALL_PROXY", "http://proxy.example:3128"), ("NO_PROXY", ".pagerduty.com")], None),
            (API, &[("ALL_PROXY", "http://proxy.example:3128"), ("no_proxy", "x, api.pagerduty.com")], None),
            (API, &[("ALL_PROXY", "http://proxy.example:3128"), ("NO_PROXY", "*")], None),
            (API, &[("ALL_PROXY", "http://proxy.example:3128"), ("NO_PROXY", "duty.com")], proxy),
            ("http://127.0.0.1:8080", &[("ALL_PROXY", "http://proxy.example:3128")], None),
            ("https://localhost:8443", &[("HTTPS_PROXY", "http://proxy.example:3128")], None),
            ("https://[::1]:8443", &[("HTTPS_PROXY", "not a proxy")], None),
        ] {
            assert_eq!(way(url, variables), Ok(expected), "{url} {variables:?}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_without_telling_its_password() {
        for value in ["http://u:secret@", "socks5://u:secret@proxy.example", "ftp://secret", "se cret"] {
            let error = way("https://api.pagerduty.com", &[("HTTPS_PROXY", value)]).unwrap_err();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{error}");
        }
    }
}
