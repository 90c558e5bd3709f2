//! Soft delete and undelete, and the settings that switch it on.

use lakestage_emulator::{Store, StoreOptions};

use crate::client::{Answer, Lake};

const DAY_OF_RETENTION: &str = "<StorageServiceProperties><DeleteRetentionPolicy><Enabled>true</Enabled>\
     <Days>1</Days></DeleteRetentionPolicy></StorageServiceProperties>";

fn keeping(days: u32) -> Lake {
    let mut options = StoreOptions::default();
    for account in &mut options.accounts {
        account.soft_delete_days = Some(days);
    }
    let lake = Lake::with_store(Store::open(options).unwrap());
    lake.dfs("PUT", "/raw?resource=filesystem", &[], b"")
        .expect(201);
    lake
}

#[test]
fn a_deleted_path_is_restored_as_it_was() {
    let lake = keeping(7);
    lake.file("/raw/dir/file", b"content");
    let etag = lake
        .dfs("HEAD", "/raw/dir/file", &[], b"")
        .header("etag")
        .to_owned();
    let deleted = lake
        .dfs("DELETE", "/raw/dir?recursive=true", &[], b"")
        .expect(200);
    assert_eq!(deleted.header("x-ms-delete-type-permanent"), "false");
    let id = deleted.header("x-ms-deletion-id").to_owned();
    lake.dfs("HEAD", "/raw/dir/file", &[], b"").expect(404);

    let list = "/raw?restype=container&comp=list&showonly=deleted&delimiter=/";
    let listed = lake.blob("GET", list, &[], b"").expect(200);
    assert_eq!(listed.element("DeletionId"), id);
    assert_eq!(listed.element("Name"), "dir");

    let source = format!("dir?deletionid={id}");
    let other = [("x-ms-undelete-source", "dir?deletionid=1")];
    lake.blob("PUT", "/raw/dir?comp=undelete", &other, b"")
        .expect_error(404, "BlobNotFound");
    let headers = [("x-ms-undelete-source", source.as_str())];
    let restored = lake
        .blob("PUT", "/raw/dir?comp=undelete", &headers, b"")
        .expect(200);
    assert_eq!(restored.header("x-ms-resource-type"), "directory");
    let read = lake.dfs("GET", "/raw/dir/file", &[], b"").expect(200);
    assert_eq!(
        (&*read.body, read.header("etag")),
        (&b"content"[..], &*etag)
    );
    lake.blob("PUT", "/raw/dir?comp=undelete", &headers, b"")
        .expect(404);
}

#[test]
fn a_name_in_use_again_is_not_restored_over() {
    let lake = keeping(7);
    lake.file("/raw/file", b"old");
    lake.dfs("DELETE", "/raw/file", &[], b"").expect(200);
    lake.file("/raw/file", b"new");
    lake.blob("PUT", "/raw/file?comp=undelete", &[], b"")
        .expect_error(409, "BlobAlreadyExists");
    assert_eq!(&*lake.dfs("GET", "/raw/file", &[], b"").body, b"new");
}

#[test]
fn a_deleted_filesystem_is_restored_under_a_name() {
    let lake = keeping(7);
    lake.file("/raw/file", b"content");
    lake.dfs("DELETE", "/raw?resource=filesystem", &[], b"")
        .expect(202);
    lake.dfs("HEAD", "/raw?resource=filesystem", &[], b"")
        .expect(404);
    let listed = lake
        .blob("GET", "/?comp=list&include=deleted", &[], b"")
        .expect(200);
    assert_eq!(listed.element("Name"), "raw");
    let version = listed.element("Version").to_owned();
    let headers = [
        ("x-ms-deleted-container-name", "raw"),
        ("x-ms-deleted-container-version", version.as_str()),
    ];
    let target = "/restored?restype=container&comp=undelete";
    lake.blob("PUT", target, &headers, b"").expect(201);
    assert_eq!(
        &*lake.dfs("GET", "/restored/file", &[], b"").body,
        b"content"
    );
    lake.blob(
        "PUT",
        "/again?restype=container&comp=undelete",
        &headers,
        b"",
    )
    .expect_error(404, "ContainerNotFound");
    lake.blob("PUT", target, &headers, b"")
        .expect_error(409, "ContainerAlreadyExists");
}

#[test]
fn soft_delete_is_off_until_the_service_properties_switch_it_on() {
    let lake = Lake::with_raw();
    lake.file("/raw/first", b"1");
    let gone = lake.dfs("DELETE", "/raw/first", &[], b"").expect(200);
    assert_eq!(gone.header("x-ms-delete-type-permanent"), "true");
    lake.blob("PUT", "/raw/first?comp=undelete", &[], b"")
        .expect(404);

    let settings = "/?restype=service&comp=properties";
    lake.blob("PUT", settings, &[], DAY_OF_RETENTION.as_bytes())
        .expect(202);
    lake.file("/raw/second", b"2");
    lake.dfs("DELETE", "/raw/second", &[], b"").expect(200);
    lake.blob("PUT", "/raw/second?comp=undelete", &[], b"")
        .expect(200);
}

#[test]
fn service_properties_keep_what_a_document_does_not_name() {
    let lake = Lake::new();
    let settings = "/?restype=service&comp=properties";
    let cors = "<StorageServiceProperties><Cors><CorsRule><AllowedOrigins>www.xyz.com</AllowedOrigins>\
         <AllowedMethods>GET,PUT</AllowedMethods><AllowedHeaders>x-ms-meta-data*,x-ms-meta-foo</AllowedHeaders>\
         <ExposedHeaders /><MaxAgeInSeconds>500</MaxAgeInSeconds></CorsRule></Cors></StorageServiceProperties>";
    lake.blob("PUT", settings, &[], cors.as_bytes()).expect(202);
    lake.blob("PUT", settings, &[], DAY_OF_RETENTION.as_bytes())
        .expect(202);
    let told = lake.blob("GET", settings, &[], b"").expect(200);
    assert_eq!(
        told.element("AllowedHeaders"),
        "x-ms-meta-foo,x-ms-meta-data*"
    );
    assert!(
        told.text()
            .contains("<DeleteRetentionPolicy><Enabled>true</Enabled><Days>1</Days>")
    );

    for wrong in [
        "<StorageServiceProperties><Nothing/></StorageServiceProperties>",
        "<StorageServiceProperties><DeleteRetentionPolicy><Enabled>true</Enabled></DeleteRetentionPolicy></StorageServiceProperties>",
        "<StorageServiceProperties><DeleteRetentionPolicy><Enabled>true</Enabled><Days>366</Days></DeleteRetentionPolicy></StorageServiceProperties>",
        "<Other/>",
    ] {
        lake.blob("PUT", settings, &[], wrong.as_bytes())
            .expect(400);
    }
}

#[test]
fn what_is_written_over_in_a_flat_account_is_kept_as_a_deleted_snapshot() {
    let mut options = StoreOptions::default();
    for account in &mut options.accounts {
        account.soft_delete_days = Some(7);
        account.flat = true;
    }
    let lake = Lake::with_store(Store::open(options).unwrap());
    lake.blob("PUT", "/raw?restype=container", &[], b"")
        .expect(201);
    let block = [("x-ms-blob-type", "BlockBlob")];
    for content in ["one", "two", "three"] {
        lake.blob("PUT", "/raw/a", &block, content.as_bytes())
            .expect(201);
    }
    let list = |include: &str| {
        let target = format!("/raw?restype=container&comp=list&include={include}");
        lake.blob("GET", &target, &[], b"").expect(200)
    };
    let count = |answer: &Answer, text: &str| answer.text().matches(text).count();
    assert_eq!(count(&list("snapshots"), "<Blob>"), 1);
    let kept = list("snapshots,deleted");
    assert_eq!(
        (count(&kept, "<Blob>"), count(&kept, "<Deleted>true")),
        (3, 2)
    );
    // They are restored with the blob, and read as any snapshot.
    lake.blob("PUT", "/raw/a?comp=undelete", &[], b"")
        .expect(200);
    let restored = list("snapshots");
    assert_eq!(count(&restored, "<Snapshot>"), 2);
    let contents: Vec<String> = restored
        .text()
        .split("<Snapshot>")
        .skip(1)
        .map(|rest| {
            let time = rest.split_once('<').unwrap().0;
            let read = lake.blob("GET", &format!("/raw/a?snapshot={time}"), &[], b"");
            read.expect(200).text().to_owned()
        })
        .collect();
    assert_eq!(contents, ["one", "two"]);
    assert_eq!(lake.blob("GET", "/raw/a", &[], b"").text(), "three");
    // Without soft delete nothing is kept.
    let flat = Lake::flat();
    for content in ["one", "two"] {
        flat.blob("PUT", "/raw/a", &block, content.as_bytes())
            .expect(201);
    }
    let target = "/raw?restype=container&comp=list&include=snapshots,deleted";
    assert_eq!(count(&flat.blob("GET", target, &[], b""), "<Blob>"), 1);
}

#[test]
fn a_flat_accounts_blob_is_restored_with_its_snapshots() {
    let mut options = StoreOptions::default();
    for account in &mut options.accounts {
        account.soft_delete_days = Some(7);
        account.flat = true;
    }
    let lake = Lake::with_store(Store::open(options).unwrap());
    lake.blob("PUT", "/raw?restype=container", &[], b"")
        .expect(201);
    let put = |name: &str, content: &[u8]| {
        let block = [("x-ms-blob-type", "BlockBlob")];
        lake.blob("PUT", &format!("/raw/{name}"), &block, content)
            .expect(201);
    };
    let names = |include: &str| {
        let list = format!("/raw?restype=container&comp=list&include={include}");
        let answer = lake.blob("GET", &list, &[], b"").expect(200);
        let blobs = answer.text().split("<Blob>").skip(1);
        let told = blobs.map(|blob| {
            let name = blob.split_once("<Name>").unwrap().1;
            let name = name.split_once("</Name>").unwrap().0;
            let snapshot = if blob.contains("<Snapshot>") { "@" } else { "" };
            let deleted = if blob.contains("<Deleted>true") {
                "-"
            } else {
                ""
            };
            assert_eq!(
                blob.contains("<RemainingRetentionDays>"),
                !deleted.is_empty()
            );
            format!("{deleted}{name}{snapshot}")
        });
        told.collect::<Vec<_>>().join(" ")
    };
    put("a", b"one");
    put("dir/b", b"two");
    put("z", b"three");
    lake.blob("PUT", "/raw/dir/b?comp=snapshot", &[], b"")
        .expect(201);
    let include = [("x-ms-delete-snapshots", "include")];
    let gone = lake.blob("DELETE", "/raw/dir/b", &include, b"").expect(202);
    assert_eq!(gone.header("x-ms-delete-type-permanent"), "false");
    lake.blob("GET", "/raw/dir/b", &[], b"").expect(404);
    assert_eq!(names("snapshots"), "a z");
    assert_eq!(names("deleted"), "a -dir/b z");
    assert_eq!(names("snapshots,deleted"), "a -dir/b@ -dir/b z");
    lake.blob("PUT", "/raw/dir/b?comp=undelete", &[], b"")
        .expect(200);
    let read = lake.blob("GET", "/raw/dir/b", &[], b"").expect(200);
    assert_eq!(&*read.body, b"two");
    assert_eq!(names("snapshots,deleted"), "a dir/b@ dir/b z");
    // A name in use again is not restored over.
    lake.blob("DELETE", "/raw/a", &[], b"").expect(202);
    put("a", b"new");
    assert_eq!(names("deleted"), "a dir/b z");
    lake.blob("PUT", "/raw/a?comp=undelete", &[], b"")
        .expect(200);
    let read = lake.blob("GET", "/raw/a", &[], b"").expect(200);
    assert_eq!(&*read.body, b"new");
    lake.blob("PUT", "/raw/never?comp=undelete", &[], b"")
        .expect_error(404, "BlobNotFound");
}
