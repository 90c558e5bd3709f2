//! Structured bodies, both ways, with a message that is put together apart from the server's code.

use crate::client::Lake;

const FORM: (&str, &str) = ("x-ms-structured-body", "XSM/1.0; properties=crc64");
/// CRC-64/NVME of `Hello Azure!`, least significant byte first.
const CRC64_OF_HELLO: [u8; 8] = [0x0E, 0xD8, 0xD9, 0xA4, 0xBF, 0x7F, 0xA3, 0xC7];

fn message(content: &[u8], crc64: [u8; 8]) -> Vec<u8> {
    let length = 13 + 10 + content.len() as u64 + 8 + 8;
    let mut message = vec![1];
    message.extend(length.to_le_bytes());
    message.extend([1, 0, 1, 0, 1, 0]);
    message.extend((content.len() as u64).to_le_bytes());
    message.extend(content);
    message.extend(crc64);
    message.extend(crc64);
    message
}

#[test]
fn a_structured_body_is_appended_and_read_in_its_form() {
    let lake = Lake::with_raw();
    lake.dfs("PUT", "/raw/file?resource=file", &[], b"")
        .expect(201);
    let body = message(b"Hello Azure!", CRC64_OF_HELLO);
    let append = "/raw/file?action=append&position=0&flush=true";
    let length = ("x-ms-structured-content-length", "12");
    let done = lake
        .dfs("PATCH", append, &[FORM, length], &body)
        .expect(202);
    assert_eq!(done.header(FORM.0), FORM.1);
    assert_eq!(
        &*lake.dfs("GET", "/raw/file", &[], b"").body,
        b"Hello Azure!"
    );

    let read = lake.dfs("GET", "/raw/file", &[FORM], b"").expect(200);
    assert_eq!(read.header("x-ms-structured-content-length"), "12");
    assert_eq!(&*read.body, body);
    let range = ("range", "bytes=0-4");
    let part = lake
        .blob("GET", "/raw/file", &[FORM, range], b"")
        .expect(206);
    assert_eq!(part.body.len(), 13 + 10 + 5 + 8 + 8);
}

#[test]
fn a_structured_body_with_a_wrong_checksum_or_length_is_refused() {
    let lake = Lake::with_raw();
    lake.dfs("PUT", "/raw/file?resource=file", &[], b"")
        .expect(201);
    let append = "/raw/file?action=append&position=0&flush=true";
    let wrong = message(b"Hello Azurf!", CRC64_OF_HELLO);
    lake.dfs("PATCH", append, &[FORM], &wrong)
        .expect_error(400, "Crc64Mismatch");
    let body = message(b"Hello Azure!", CRC64_OF_HELLO);
    lake.dfs("PATCH", append, &[FORM], &body[..body.len() - 1])
        .expect_error(400, "InvalidInput");
    let length = ("x-ms-structured-content-length", "11");
    lake.dfs("PATCH", append, &[FORM, length], &body)
        .expect_error(400, "InvalidHeaderValue");
    let other = ("x-ms-structured-body", "XSM/2.0");
    lake.dfs("PATCH", append, &[other], &body)
        .expect_error(400, "InvalidHeaderValue");
    assert_eq!(lake.dfs("GET", "/raw/file", &[], b"").body.len(), 0);
}

#[test]
fn headers_that_ask_for_what_is_not_done_are_refused_by_name() {
    let lake = Lake::with_raw();
    let hold = [("x-ms-legal-hold", "true")];
    lake.dfs("PUT", "/raw/file?resource=file", &hold, b"")
        .expect_error(400, "UnsupportedHeader");
    let scope = [
        ("x-ms-encryption-scope", "mine"),
        ("x-ms-blob-type", "BlockBlob"),
    ];
    lake.blob("PUT", "/raw/file", &scope, b"")
        .expect_error(400, "UnsupportedHeader");
}
