//! object_store, which Polars, DataFusion and Delta Lake stand on. It speaks Blob.

use std::time::Duration;

use futures::TryStreamExt;
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, RetryConfig, UpdateVersion, WriteMultipart,
};

use crate::lake::{ACCOUNT, FILESYSTEM, KEY, Lake};

fn builder(lake: &Lake) -> MicrosoftAzureBuilder {
    // A refusal must be seen as it is, and not after minutes of retries.
    let retry = RetryConfig {
        max_retries: 1,
        retry_timeout: Duration::from_secs(10),
        ..RetryConfig::default()
    };
    MicrosoftAzureBuilder::new()
        .with_account(ACCOUNT)
        .with_container_name(FILESYSTEM)
        .with_endpoint(lake.blob_endpoint.clone())
        .with_allow_http(true)
        .with_retry(retry)
}

fn store(lake: &Lake) -> MicrosoftAzure {
    builder(lake).with_access_key(KEY).build().unwrap()
}

async fn text(store: &MicrosoftAzure, path: &str) -> String {
    let bytes = store
        .get(&Path::from(path))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn names(store: &MicrosoftAzure, prefix: Option<&str>) -> Vec<String> {
    let prefix = prefix.map(Path::from);
    let mut found: Vec<String> = store
        .list(prefix.as_ref())
        .map_ok(|object| object.location.to_string())
        .try_collect()
        .await
        .unwrap();
    found.sort();
    found
}

#[tokio::test]
async fn an_object_is_put_described_read_and_deleted() {
    let lake = Lake::start();
    let store = store(&lake);
    let path = Path::from("deep/down/a");
    let put = store
        .put(&path, PutPayload::from_static(b"0123456789"))
        .await
        .unwrap();
    let head = store.head(&path).await.unwrap();
    assert_eq!(head.size, 10);
    assert_eq!(head.e_tag, put.e_tag);
    assert_eq!(head.location, path);
    assert_eq!(text(&store, "deep/down/a").await, "0123456789");
    store.delete(&path).await.unwrap();
    assert!(matches!(
        store.head(&path).await,
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        store.get(&path).await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn ranges_are_read() {
    let lake = Lake::start();
    let store = store(&lake);
    let path = Path::from("a");
    store
        .put(&path, PutPayload::from_static(b"0123456789"))
        .await
        .unwrap();
    assert_eq!(&store.get_range(&path, 2..5).await.unwrap()[..], b"234");
    let parts = store.get_ranges(&path, &[0..1, 4..6, 9..10]).await.unwrap();
    assert_eq!(
        parts.iter().map(|part| &part[..]).collect::<Vec<_>>(),
        [&b"0"[..], b"45", b"9"]
    );
    let from = GetOptions {
        range: Some(GetRange::Offset(7)),
        ..GetOptions::default()
    };
    let answer = store.get_opts(&path, from).await.unwrap();
    assert_eq!(answer.range, 7..10);
    assert_eq!(answer.meta.size, 10);
    assert_eq!(&answer.bytes().await.unwrap()[..], b"789");
    assert!(store.get_range(&path, 10..12).await.is_err());
}

#[tokio::test]
async fn conditions_of_a_read_are_kept() {
    let lake = Lake::start();
    let store = store(&lake);
    let path = Path::from("a");
    let tag = store
        .put(&path, PutPayload::from_static(b"x"))
        .await
        .unwrap()
        .e_tag;
    let head = store.head(&path).await.unwrap();
    let ask = |options: GetOptions| store.get_opts(&path, options);
    let right = GetOptions {
        if_match: tag.clone(),
        ..GetOptions::default()
    };
    assert_eq!(ask(right).await.unwrap().meta.size, 1);
    let wrong = GetOptions {
        if_match: Some("\"0x1\"".to_owned()),
        ..GetOptions::default()
    };
    assert!(matches!(ask(wrong).await, Err(Error::Precondition { .. })));
    let same = GetOptions {
        if_none_match: tag,
        ..GetOptions::default()
    };
    assert!(matches!(ask(same).await, Err(Error::NotModified { .. })));
    let since = GetOptions {
        if_modified_since: Some(head.last_modified),
        ..GetOptions::default()
    };
    assert!(matches!(ask(since).await, Err(Error::NotModified { .. })));
    let before = head.last_modified - Duration::from_secs(3600);
    let unmodified = GetOptions {
        if_unmodified_since: Some(before),
        ..GetOptions::default()
    };
    assert!(matches!(
        ask(unmodified).await,
        Err(Error::Precondition { .. })
    ));
}

#[tokio::test]
async fn creates_and_updates_notice_a_lost_race() {
    let lake = Lake::start();
    let store = store(&lake);
    let path = Path::from("_delta_log/0.json");
    let create = || PutOptions::from(PutMode::Create);
    let first = store
        .put_opts(&path, PutPayload::from_static(b"1"), create())
        .await
        .unwrap();
    let again = store
        .put_opts(&path, PutPayload::from_static(b"2"), create())
        .await;
    assert!(
        matches!(again, Err(Error::AlreadyExists { .. })),
        "{again:?}"
    );
    let update = |tag: Option<String>| {
        PutOptions::from(PutMode::Update(UpdateVersion {
            e_tag: tag,
            version: None,
        }))
    };
    let put = store
        .put_opts(
            &path,
            PutPayload::from_static(b"3"),
            update(first.e_tag.clone()),
        )
        .await
        .unwrap();
    assert_ne!(put.e_tag, first.e_tag);
    let lost = store
        .put_opts(&path, PutPayload::from_static(b"4"), update(first.e_tag))
        .await;
    assert!(matches!(lost, Err(Error::Precondition { .. })), "{lost:?}");
    assert_eq!(text(&store, "_delta_log/0.json").await, "3");
}

#[tokio::test]
async fn one_of_many_creates_wins() {
    let lake = Lake::start();
    let store = store(&lake);
    let path = Path::from("commit");
    let tries = (0..20).map(|i| {
        let payload = PutPayload::from(format!("{i}").into_bytes());
        store.put_opts(&path, payload, PutOptions::from(PutMode::Create))
    });
    let won: Vec<usize> = futures::future::join_all(tries)
        .await
        .into_iter()
        .enumerate()
        .filter_map(|(i, result)| result.is_ok().then_some(i))
        .collect();
    assert_eq!(won.len(), 1);
    assert_eq!(text(&store, "commit").await, won[0].to_string());
}

#[tokio::test]
async fn attributes_are_kept() {
    let lake = Lake::start();
    let store = store(&lake);
    let path = Path::from("a");
    let attributes = Attributes::from_iter([
        (Attribute::ContentType, "text/csv"),
        (Attribute::CacheControl, "no-store"),
        (Attribute::ContentLanguage, "en-GB"),
        (Attribute::ContentDisposition, "inline"),
        (Attribute::Metadata("purpose".into()), "tests"),
    ]);
    let options = PutOptions {
        attributes: attributes.clone(),
        ..PutOptions::default()
    };
    store
        .put_opts(&path, PutPayload::from_static(b"x"), options)
        .await
        .unwrap();
    assert_eq!(store.get(&path).await.unwrap().attributes, attributes);
}

#[tokio::test]
async fn a_large_object_goes_up_in_parts() {
    let lake = Lake::start();
    let store = store(&lake);
    let path = Path::from("large");
    let content: Vec<u8> = (0..32_000_077_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let upload = store.put_multipart(&path).await.unwrap();
    let mut write = WriteMultipart::new_with_chunk_size(upload, 5 << 20);
    for piece in content.chunks(1_000_003) {
        write.wait_for_capacity(4).await.unwrap();
        write.write(piece);
    }
    assert!(matches!(
        store.head(&path).await,
        Err(Error::NotFound { .. })
    ));
    write.finish().await.unwrap();
    let found = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert!(found == content);
}

#[tokio::test]
async fn parts_are_put_in_any_order_and_an_abort_leaves_nothing() {
    let lake = Lake::start();
    let store = store(&lake);
    let path = Path::from("parts");
    let id = store.create_multipart(&path).await.unwrap();
    let mut parts: Vec<PartId> = Vec::new();
    let second = store
        .put_part(&path, &id, 1, PutPayload::from_static(b"world"))
        .await
        .unwrap();
    parts.push(
        store
            .put_part(&path, &id, 0, PutPayload::from_static(b"hello "))
            .await
            .unwrap(),
    );
    parts.push(second);
    store.complete_multipart(&path, &id, parts).await.unwrap();
    assert_eq!(text(&store, "parts").await, "hello world");
    let mut upload = store.put_multipart(&Path::from("dropped")).await.unwrap();
    upload
        .put_part(PutPayload::from_static(b"x"))
        .await
        .unwrap();
    upload.abort().await.unwrap();
    assert_eq!(names(&store, None).await, ["parts"]);
}

#[tokio::test]
async fn lists_go_by_prefix_folder_and_offset() {
    let lake = Lake::start();
    let store = store(&lake);
    for path in ["a/1", "a/2", "a/b/3", "ab", "c"] {
        store
            .put(&Path::from(path), PutPayload::from_static(b"x"))
            .await
            .unwrap();
    }
    assert_eq!(
        names(&store, None).await,
        ["a/1", "a/2", "a/b/3", "ab", "c"]
    );
    assert_eq!(names(&store, Some("a")).await, ["a/1", "a/2", "a/b/3"]);
    let level = store
        .list_with_delimiter(Some(&Path::from("a")))
        .await
        .unwrap();
    assert_eq!(level.common_prefixes, [Path::from("a/b")]);
    assert_eq!(level.objects.len(), 2);
    let root = store.list_with_delimiter(None).await.unwrap();
    assert_eq!(root.common_prefixes, [Path::from("a")]);
    assert_eq!(root.objects.len(), 2);
    let mut rest: Vec<String> = store
        .list_with_offset(None, &Path::from("a/2"))
        .map_ok(|object| object.location.to_string())
        .try_collect()
        .await
        .unwrap();
    rest.sort();
    assert_eq!(rest, ["a/b/3", "ab", "c"]);
    assert!(names(&store, Some("missing")).await.is_empty());
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let lake = Lake::start();
    let store = store(&lake);
    let paths: Vec<Path> = (0..600)
        .map(|i| Path::from(format!("d{}/f{i}", i % 5)))
        .collect();
    let puts = paths
        .iter()
        .map(|path| store.put(path, PutPayload::from_static(b"x")));
    futures::future::try_join_all(puts).await.unwrap();
    assert_eq!(names(&store, None).await.len(), 600);
    let locations = futures::stream::iter(paths.clone().into_iter().map(Ok));
    let deleted: Vec<Path> = store
        .delete_stream(Box::pin(locations))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(deleted, paths);
    assert!(names(&store, None).await.is_empty());
}

#[tokio::test]
async fn an_object_is_copied_and_renamed() {
    let lake = Lake::start();
    let store = store(&lake);
    let (from, to, third) = (Path::from("from"), Path::from("d/to"), Path::from("third"));
    store
        .put(&from, PutPayload::from_static(b"content"))
        .await
        .unwrap();
    store.copy(&from, &to).await.unwrap();
    assert_eq!(text(&store, "d/to").await, "content");
    let there = store.copy_if_not_exists(&from, &to).await;
    assert!(
        matches!(there, Err(Error::AlreadyExists { .. })),
        "{there:?}"
    );
    store.copy_if_not_exists(&from, &third).await.unwrap();
    store.rename(&from, &Path::from("moved")).await.unwrap();
    assert_eq!(names(&store, None).await, ["d/to", "moved", "third"]);
    let missing = store.copy(&from, &to).await;
    assert!(
        matches!(missing, Err(Error::NotFound { .. })),
        "{missing:?}"
    );
}

#[tokio::test]
async fn names_with_everything_in_them() {
    let lake = Lake::start();
    let store = store(&lake);
    let segments = [
        "plus+sign",
        "quote'",
        "semi;colon,comma",
        "amp&equals=",
        "at@colon:",
        "ümläutß",
        "日本語",
        "🚀",
        "dollar$",
        "(round)",
    ];
    for segment in segments {
        a_name_works(&store, segment).await;
    }
}

/// The client writes a space in a query as a plus, which is a space in Azure too.
#[tokio::test]
async fn names_with_a_space_are_listed() {
    let lake = Lake::start();
    a_name_works(&store(&lake), "with space").await;
}

async fn a_name_works(store: &MicrosoftAzure, segment: &str) {
    let path = Path::from_iter([segment, segment]);
    let payload = PutPayload::from(segment.as_bytes().to_vec());
    store.put(&path, payload).await.unwrap();
    let found = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(&found[..], segment.as_bytes());
    let listed: Vec<Path> = store
        .list(Some(&Path::from_iter([segment])))
        .map_ok(|object| object.location)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(listed, std::slice::from_ref(&path));
    store.delete(&path).await.unwrap();
}

#[tokio::test]
async fn a_signature_stands_for_the_key() {
    let lake = Lake::start();
    let store = store(&lake);
    let path = Path::from("signed");
    store
        .put(&path, PutPayload::from_static(b"x"))
        .await
        .unwrap();
    let url = store
        .signed_url(http::Method::GET, &path, Duration::from_secs(60))
        .await
        .unwrap();
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect();
    let signed = builder(&lake)
        .with_sas_authorization(pairs)
        .build()
        .unwrap();
    assert_eq!(text(&signed, "signed").await, "x");
    let put = signed.put(&path, PutPayload::from_static(b"y")).await;
    assert!(
        matches!(put, Err(Error::PermissionDenied { .. })),
        "{put:?}"
    );
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let lake = Lake::start();
    let other = builder(&lake).with_access_key("c2VjcmV0").build().unwrap();
    let refused = other.get(&Path::from("a")).await;
    assert!(
        matches!(refused, Err(Error::PermissionDenied { .. })),
        "{refused:?}"
    );
}
