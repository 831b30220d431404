//! `[strongdm]`: how this service reaches strongDM.

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretSlice};

use super::{
    StrongDm,
    reader::Section,
    secret::{PLACEHOLDER, Setting, is_placeholder},
};

pub(super) fn read(section: &Section<'_>) -> StrongDm {
    let access_key = section.required("access_key", "SDM_API_ACCESS_KEY").map(Setting::trimmed);
    let secret_key = section.required("secret_key", "SDM_API_SECRET_KEY").map(Setting::trimmed);
    StrongDm {
        api_url: section.upstream("api_url", "https://app.strongdm.com"),
        access_key: access_key.map(|key| key.header_text(section.reader)).unwrap_or_default(),
        secret_key: secret_key.map(|key| decoded(section, &key)).unwrap_or_default(),
    }
}

fn decoded(section: &Section<'_>, key: &Setting) -> SecretSlice<u8> {
    // The decoder's own message would quote characters of the key.
    let bytes = BASE64_STANDARD.decode(key.text.expose_secret()).unwrap_or_else(|_| {
        let message = "is not standard base64; copy the secret key whole, as strongDM showed it";
        section.reader.report(&key.place, message);
        Vec::new()
    });
    if is_placeholder(&bytes) {
        section.reader.report(&key.place, PLACEHOLDER);
    }
    bytes.into()
}
