//! OpenDAL's azdls service. It speaks DFS.

use futures::TryStreamExt;
use opendal::services::Azdls;
use opendal::{EntryMode, ErrorKind, Operator};

use crate::lake::{ACCOUNT, FILESYSTEM, KEY, Lake};

fn operator(lake: &Lake) -> Operator {
    with_key(lake, KEY)
}

fn with_key(lake: &Lake, key: &str) -> Operator {
    let service = Azdls::default()
        .endpoint(&lake.dfs_endpoint)
        .filesystem(FILESYSTEM)
        .account_name(ACCOUNT)
        .account_key(key)
        .enable_hns(true);
    Operator::new(service).unwrap()
}

async fn names(lake: &Operator, path: &str, recursive: bool) -> Vec<String> {
    let mut found: Vec<String> = lake
        .lister_with(path)
        .recursive(recursive)
        .await
        .unwrap()
        .map_ok(|entry| entry.path().to_owned())
        .try_collect()
        .await
        .unwrap();
    found.sort();
    found
}

#[tokio::test]
async fn a_file_is_written_described_read_and_deleted() {
    let lake = Lake::start();
    let lake = operator(&lake);
    lake.write("deep/down/a", "0123456789").await.unwrap();
    let found = lake.stat("deep/down/a").await.unwrap();
    assert_eq!(found.content_length(), 10);
    assert_eq!(found.mode(), EntryMode::FILE);
    assert!(found.etag().unwrap().starts_with("\"0x"));
    assert_eq!(
        lake.read("deep/down/a").await.unwrap().to_vec(),
        b"0123456789"
    );
    assert_eq!(
        lake.read_with("deep/down/a")
            .range(2..5)
            .await
            .unwrap()
            .to_vec(),
        b"234"
    );
    lake.delete("deep/down/a").await.unwrap();
    assert!(!lake.exists("deep/down/a").await.unwrap());
    assert_eq!(
        lake.read("deep/down/a").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    // Deleting what is not there is no error for this client.
    lake.delete("deep/down/a").await.unwrap();
}

#[tokio::test]
async fn a_directory_is_made_and_listed() {
    let lake = Lake::start();
    let lake = operator(&lake);
    lake.create_dir("d/e/").await.unwrap();
    assert_eq!(lake.stat("d/e/").await.unwrap().mode(), EntryMode::DIR);
    lake.write("d/f", "x").await.unwrap();
    lake.write("d/e/g", "yy").await.unwrap();
    assert_eq!(names(&lake, "d/", false).await, ["d/", "d/e/", "d/f"]);
    assert_eq!(
        names(&lake, "d/", true).await,
        ["d/", "d/e/", "d/e/g", "d/f"]
    );
    let sizes: u64 = lake
        .lister_with("d/")
        .recursive(true)
        .await
        .unwrap()
        .try_fold(0, |sum, entry| async move {
            Ok(sum + entry.metadata().content_length())
        })
        .await
        .unwrap();
    assert_eq!(sizes, 3);
}

#[tokio::test]
async fn a_tree_is_removed() {
    let lake = Lake::start();
    let lake = operator(&lake);
    for i in 0..50 {
        lake.write(&format!("d/{}/f{i}", i % 5), "x").await.unwrap();
    }
    lake.write("stays", "x").await.unwrap();
    lake.delete_with("d/").recursive(true).await.unwrap();
    assert_eq!(
        names(&lake, "/", true)
            .await
            .iter()
            .filter(|name| *name != "/")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_file_is_renamed_and_its_new_parents_are_made() {
    let lake = Lake::start();
    let lake = operator(&lake);
    lake.write("from", "content").await.unwrap();
    lake.rename("from", "new/parent/to").await.unwrap();
    assert_eq!(
        lake.read("new/parent/to").await.unwrap().to_vec(),
        b"content"
    );
    assert!(!lake.exists("from").await.unwrap());
    lake.write("other", "other").await.unwrap();
    lake.rename("other", "new/parent/to").await.unwrap();
    assert_eq!(lake.read("new/parent/to").await.unwrap().to_vec(), b"other");
    assert_eq!(
        lake.rename("missing", "x").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_large_file_is_written_in_pieces() {
    let lake = Lake::start();
    let lake = operator(&lake);
    let content: Vec<u8> = (0..20_000_077_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut writer = lake
        .writer_with("large")
        .chunk(3 << 20)
        .concurrent(4)
        .await
        .unwrap();
    for piece in content.chunks(1_000_003) {
        writer.write(piece.to_vec()).await.unwrap();
    }
    writer.close().await.unwrap();
    let found = lake
        .read_with("large")
        .chunk(4 << 20)
        .concurrent(4)
        .await
        .unwrap()
        .to_vec();
    assert!(found == content);
}

#[tokio::test]
async fn a_file_grows_at_its_end() {
    let lake = Lake::start();
    let lake = operator(&lake);
    for piece in ["one", "two", "three"] {
        lake.write_with("log", piece).append(true).await.unwrap();
    }
    assert_eq!(lake.read("log").await.unwrap().to_vec(), b"onetwothree");
}

#[tokio::test]
async fn conditions_are_kept() {
    let lake = Lake::start();
    let lake = operator(&lake);
    lake.write("f", "first").await.unwrap();
    let again = lake
        .write_with("f", "second")
        .if_not_exists(true)
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::ConditionNotMatch, "{again}");
    let tag = lake.stat("f").await.unwrap().etag().unwrap().to_owned();
    assert_eq!(
        lake.read_with("f").if_match(&tag).await.unwrap().to_vec(),
        b"first"
    );
    let wrong = lake.read_with("f").if_match("\"0x1\"").await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::ConditionNotMatch, "{wrong}");
    let same = lake.read_with("f").if_none_match(&tag).await.unwrap_err();
    assert_eq!(same.kind(), ErrorKind::ConditionNotMatch, "{same}");
}

#[tokio::test]
async fn metadata_is_kept() {
    let lake = Lake::start();
    let lake = operator(&lake);
    lake.write_with("f", "x")
        .user_metadata([("purpose".to_owned(), "tests".to_owned())])
        .await
        .unwrap();
    let found = lake.stat("f").await.unwrap();
    assert_eq!(found.user_metadata().unwrap().get("purpose"), Some("tests"));
}

#[tokio::test]
async fn names_with_everything_in_them() {
    let lake = Lake::start();
    let lake = operator(&lake);
    let segments = [
        "with space",
        "100%",
        "plus+sign",
        "quote'",
        "semi;colon,comma",
        "amp&equals=",
        "hash#question?",
        "at@colon:",
        "ümläut ß",
        "日本語",
        "emoji 🚀",
        "(round)[square]",
    ];
    for segment in segments {
        let path = format!("{segment}/{segment}");
        lake.write(&path, segment).await.unwrap();
        assert_eq!(lake.read(&path).await.unwrap().to_vec(), segment.as_bytes());
        let directory = format!("{segment}/");
        assert_eq!(names(&lake, &directory, true).await, [directory, path]);
    }
}

#[tokio::test]
async fn more_paths_than_a_page_holds_come_whole() {
    let lake = Lake::start();
    let lake = operator(&lake);
    lake.create_dir("many/").await.unwrap();
    let paths: Vec<String> = (0..5_100).map(|i| format!("many/f{i}")).collect();
    for group in paths.chunks(64) {
        futures::future::try_join_all(group.iter().map(|path| lake.write(path, "")))
            .await
            .unwrap();
    }
    assert_eq!(names(&lake, "many/", false).await.len(), 5_101);
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let lake = Lake::start();
    let refused = with_key(&lake, "c2VjcmV0").stat("f").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
}
