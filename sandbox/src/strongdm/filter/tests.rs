use super::{EmptyValue, Filter, SeveralIds, glob};

const FIELDS: [&str; 5] = ["id", "email", "name", "accountid", "tags"];

/// Which of three rows the filter picks.
fn picked(filter: &str) -> String {
    let rows = [
        ("1", "ana@corp.example", "Ana Lima", vec![("env", "prod"), ("Team", "Pay")]),
        ("2", "Bo@Corp.example", "a\"b, c*d", vec![("env", "Prod")]),
        ("3", "cem@other.example", "Çem \\ Ü", vec![]),
    ];
    let Ok(filter) = Filter::parse(filter, &FIELDS, EmptyValue::MatchesAll) else { return "error".into() };
    let fits = rows.iter().filter(|(id, email, name, tags)| {
        let tags = tags.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<Vec<_>>();
        let values = |field: &str| match field {
            "id" | "accountid" => vec![(*id).into()],
            "email" => vec![(*email).into()],
            _ => vec![(*name).into()],
        };
        filter.matches(values, &tags)
    });
    fits.map(|row| row.0).collect()
}

#[test]
fn the_language() {
    for (filter, expected) in [
        ("", "123"),
        ("  , ", "123"),
        ("email:ana@corp.example", "1"),
        ("email:\"bo@corp.EXAMPLE\"", "2"),
        ("email:*@corp.example", "12"),
        ("email:\"*@corp.example\"", "12"),
        ("email:\"*@corp.example\",name:ana*", "1"),
        ("email:\"*@corp.example\" name:\"Ana Lima\"", "1"),
        ("email:\"x@c,name:y\"", ""),
        ("email:\"\"", "123"),
        ("id:1,id:3", "13"),
        ("id:1 id:3 email:*other*", "3"),
        ("account_id:2", "2"),
        ("accountId:2", "2"),
        ("ACCOUNTID:\"2\"", "2"),
        ("name:\"a\\\"b, c*d\"", "2"),
        ("name:\"\\u00c7em \\\\ \\u00dc\"", "3"),
        ("tag:\"env\"=\"prod\"", "1"),
        ("tags:env=prod", "1"),
        ("tags:env=*rod", "12"),
        ("tags:ENV=prod", ""),
        ("tags:Team=Pay,tags:env=prod", "1"),
        ("tag:env", "12"),
        ("tag:\"no=such\"=x", ""),
        ("hostname:x", "error"),
        ("ana", "error"),
        ("email:", "error"),
        ("email:\"open", "error"),
        ("email:\"a\"b", "error"),
        ("email:a\"b", "error"),
        (":x", "error"),
        ("tags:env=prod,region=eu", "error"),
    ] {
        assert_eq!(picked(filter), expected, "{filter}");
    }
}

#[test]
fn wildcards() {
    for (pattern, text, fits) in [
        ("*", "", true),
        ("a*", "a", true),
        ("*a*", "bab", true),
        ("a*a", "a", false),
        ("a**b", "axb", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
    ] {
        assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
    }
}

#[test]
fn several_ids_mean_what_the_settings_say() {
    let ids = "id:1,id:3";
    let meant = |filter: &str, meaning| {
        let filter =
            Filter::parse(filter, &FIELDS, EmptyValue::MatchesAll).unwrap().with_several_ids(meaning)?;
        let fits = |id: &&str| filter.matches(|_| vec![(*id).into()], &[]);
        Some(["1", "2", "3"].iter().filter(|id| fits(id)).copied().collect::<String>())
    };
    let meanings = [SeveralIds::AnyOf, SeveralIds::AllOf, SeveralIds::Last, SeveralIds::Refused];
    assert_eq!(
        meanings.map(|meaning| meant(ids, meaning)),
        [Some("13"), Some(""), Some("3"), None].map(|ids| ids.map(str::to_owned))
    );
    assert_eq!(meanings.map(|meaning| meant("id:3", meaning)), [(); 4].map(|()| Some("3".to_owned())));
}
