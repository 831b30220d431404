//! Builds strongDM filter expressions. Pure.
//!
//! A quoted value cannot break out of its term, but `*` stays a wildcard even in quotes and there is no way to escape
//! it, so values that hold one are refused here.

use super::error::Error;

/// `field:"value"`, or why the value must not be sent.
pub(super) fn term(field: &str, value: &str) -> Result<String, Error> {
    if value.trim().is_empty() {
        return Err(Error::Refused(format!("the {field} to look for is empty")));
    }
    if value.contains('*') {
        return Err(Error::Refused(format!("the {field} to look for contains the wildcard *")));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::Refused(format!("the {field} to look for contains a control character")));
    }
    Ok(format!("{field}:{}", serde_json::Value::from(value)))
}

/// All of the terms.
pub(super) fn all<const N: usize>(terms: [Result<String, Error>; N]) -> Result<String, Error> {
    Ok(terms.into_iter().collect::<Result<Vec<_>, _>>()?.join(","))
}

/// Rows with any of these IDs. Of this field alone several terms mean any of them, as strongDM's own tools use it.
pub(super) fn ids<'i>(ids: impl IntoIterator<Item = &'i str>) -> Result<String, Error> {
    Ok(ids.into_iter().map(|id| term("id", id)).collect::<Result<Vec<_>, _>>()?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_inside_its_quotes() {
        for (value, filter) in [
            ("jane+tag@x", r#"email:"jane+tag@x""#),
            (r#"a"b@c"#, r#"email:"a\"b@c""#),
            (r"a\", r#"email:"a\\""#),
            ("x@c,type:service", r#"email:"x@c,type:service""#),
            ("x@c suspended:false", r#"email:"x@c suspended:false""#),
            (r#"x",type:"service"#, r#"email:"x\",type:\"service""#),
            ("jörg@x", r#"email:"jörg@x""#),
            ("a?b@c", r#"email:"a?b@c""#),
        ] {
            assert_eq!(term("email", value).as_deref(), Ok(filter), "{value}");
        }
    }

    #[test]
    fn wildcards_control_characters_and_nothing_are_refused() {
        for value in ["*@corp.com", "a*", "*", "", "  ", "a\nb", "a\0", "a\u{9f}b", "\u{1b}[0m"] {
            assert!(matches!(term("name", value), Err(Error::Refused(_))), "{value:?}");
        }
    }

    #[test]
    fn several_terms_must_all_hold() {
        let both = all([term("account_id", "a-1"), term("resource_id", "rs-2")]);
        assert_eq!(both.as_deref(), Ok(r#"account_id:"a-1",resource_id:"rs-2""#));
        assert!(all([term("account_id", "a-1"), term("resource_id", "*")]).is_err());
    }

    #[test]
    fn every_id_is_quoted_by_itself() {
        assert_eq!(ids(["ag-1", r#"a",b"#]).as_deref(), Ok(r#"id:"ag-1",id:"a\",b""#));
        assert!(ids(["ag-1", "ag-*"]).is_err());
    }
}
