//! Whatever credentials say, they are answered: nobody gets in by nonsense, and nothing breaks.

use std::collections::BTreeMap;

use lakestage_emulator::AccessOptions;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::client::{Lake, Port};

/// Parameters of signatures, right and wrong ones.
fn query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "sv",
        "ss",
        "srt",
        "sp",
        "st",
        "se",
        "sip",
        "spr",
        "sr",
        "sdd",
        "si",
        "sig",
        "ses",
        "skoid",
        "sktid",
        "skt",
        "ske",
        "sks",
        "skv",
        "saoid",
        "suoid",
        "scid",
        "skdutid",
        "sduoid",
        "srh",
        "srq",
        "rsct",
        "restype",
        "comp",
        "resource",
        "action",
        "snapshot",
        "directory",
        "prefix",
    ]);
    let value = prop_oneof![
        "[ -~]{0,12}".prop_map(|text| {
            let set = percent_encoding::NON_ALPHANUMERIC;
            percent_encoding::utf8_percent_encode(&text, set).to_string()
        }),
        "[%&=+a-z0-9]{0,8}",
        prop::sample::select(vec![
            "2018-11-09",
            "2026-04-06",
            "9999-99-99",
            "2999-01-01T00:00:00Z",
            "c",
            "b",
            "d",
            "bs",
            "sco",
            "racwdl",
            "https",
            "127.0.0.1",
            "1-2",
            "18446744073709551616",
            "-1",
            "container",
            "filesystem",
            "account",
            "acl",
            "list",
            "batch",
            "x-ms-date,,x",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec((name, value), 0..12).prop_map(|pairs| {
        let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("&")
    })
}

/// What may stand in `Authorization`.
fn authorization() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        "[ -~]{0,40}".prop_map(Some),
        "Bearer [A-Za-z0-9_.-]{0,60}".prop_map(Some),
        "Bearer e30[.]e30[.][A-Za-z0-9_-]{0,6}".prop_map(Some),
        "SharedKey(Lite)? devstoreaccount1:[A-Za-z0-9+/=]{0,44}".prop_map(Some),
    ]
}

#[test]
fn nobody_gets_in_by_nonsense() {
    let lake = Lake::secure(AccessOptions::default());
    lake.file("/raw/f", b"secret");
    let method = prop::sample::select(vec!["GET", "HEAD", "PUT", "DELETE", "PATCH", "POST"]);
    let target = prop::sample::select(vec!["/", "/raw", "/raw/f", "/raw/dir/f", "/none/f"]);
    let cases = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let requests = (method, target, query(), authorization());
    let tried = TestRunner::new(cases).run(&requests, |(method, target, query, authorization)| {
        let mut headers = BTreeMap::from([("x-ms-version".to_owned(), "2023-11-03".to_owned())]);
        if let Some(value) = &authorization {
            headers.insert("authorization".to_owned(), value.clone());
        }
        if method == "PUT" {
            headers.insert("content-length".to_owned(), "0".to_owned());
        }
        let target = format!("/devstoreaccount1{target}?{query}");
        let answer = lake.send(Port::Blob, method, &target, &headers, b"");
        prop_assert!(
            (400..500).contains(&answer.status),
            "{} {target}",
            answer.status
        );
        Ok(())
    });
    tried.unwrap();
}
