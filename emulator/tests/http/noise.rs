//! Requests that make little sense, made of parts that do: each gets an answer, and none is an internal error.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lakestage_emulator::{Account, AccountSas, Emulator, ServerOptions, StoreOptions, account_sas};
use proptest::prelude::*;

/// Longer than any answer takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a server is listened to that may wait for more.
const SILENCE: Duration = Duration::from_millis(100);

/// Choices, with a bar between them.
const METHODS: &str = "\
    GET|HEAD|PUT|PATCH|POST|DELETE|OPTIONS";
const PATHS: &str = "\
    |/|/raw|/raw/|/raw/a|/raw/a/file|/raw/a/file/below|/raw/%2e%2e/%2e%2e/etc|/raw//a//|/raw/%00%ff%zz|\
    /$root/a|/raw/%E2%82%AC/\u{7f}|/RAW!/x|/raw/a%2Ffile";
const QUERY_NAMES: &str = "\
    resource|action|position|recursive|directory|maxResults|continuation|beginFrom|upn|mode|maxRecords|\
    forceFlag|retainUncommittedData|close|flush|fsAction|restype|comp|blockid|marker|prefix|delimiter|\
    include|where|snapshot|versionid|timeout|blocklisttype|prevsnapshot|startFrom|showonly|copyid|paths|\
    deletionId|si|rscc|rsct|sdd|skoid|sr";
const QUERY_VALUES: &str = "\
    filesystem|account|file|directory|append|flush|setProperties|setAccessControl|setAccessControlRecursive|\
    getStatus|getAccessControl|checkAccess|container|service|list|block|blocklist|page|pagelist|appendblock|\
    metadata|properties|lease|undelete|seal|copy|tier|expiry|tags|acl|batch|blobs|stats|query|\
    userdelegationkey|set|modify|remove|legacy|posix|true|false|all|committed|uncommitted|\
    snapshots,metadata,deleted|rwx|/|\"a\"='b'|MDAw|a|2026-01-01T00:00:00.0000000Z";
const NUMBERS: &str = "\
    0|1|-1|10|512|4294967296|9223372036854775807|9223372036854775808|18446744073709551615|\
    99999999999999999999999|1e9| 7";
const HEADER_NAMES: &str = "\
    range|x-ms-range|if-match|if-none-match|if-modified-since|if-unmodified-since|x-ms-if-tags|x-ms-acl|\
    x-ms-permissions|x-ms-umask|x-ms-owner|x-ms-group|x-ms-properties|x-ms-meta-a|x-ms-meta-|\
    x-ms-rename-source|x-ms-copy-source|x-ms-source-range|x-ms-source-if-match|x-ms-source-lease-id|\
    x-ms-source-content-md5|x-ms-lease-action|x-ms-lease-id|x-ms-lease-duration|x-ms-lease-break-period|\
    x-ms-proposed-lease-id|x-ms-expiry-option|x-ms-expiry-time|content-md5|x-ms-content-crc64|\
    x-ms-content-md5|x-ms-structured-body|x-ms-structured-content-length|x-ms-blob-type|\
    x-ms-blob-content-length|x-ms-blob-sequence-number|x-ms-sequence-number-action|x-ms-page-write|\
    x-ms-if-sequence-number-le|x-ms-blob-condition-appendpos|x-ms-blob-condition-maxsize|x-ms-access-tier|\
    x-ms-tags|x-ms-blob-content-type|x-ms-content-type|x-ms-version|x-ms-date|x-ms-client-request-id|\
    x-http-method-override|content-type|content-encoding|accept|user-agent|x-ms-delete-snapshots|\
    x-ms-encryption-context|x-ms-range-get-content-md5|x-ms-range-get-content-crc64|x-ms-blob-public-access";
const HEADER_VALUES: &str = "\
    *|\"0x8D\"|bytes=0-|bytes=-5|bytes=5-2|bytes=0-511|bytes=512-1023|acquire|renew|change|release|break|\
    11111111-2222-3333-4444-555555555555|0777|rwxr-x--t|user::rwx,group::r-x,other::---|\
    user:a:rwx,mask::r--,default:group::-w-|user:::rwx,,group|default:user:x|a=YQ==,b=|a=!,=,b|/raw/a/file|\
    /raw/a?x=y|http://127.0.0.1:1/devstoreaccount1/raw/a/file|devstoreaccount1/raw|BlockBlob|AppendBlob|\
    PageBlob|update|clear|max|increment|Hot|k=v&k=v|\"k\" > 'v'|XSM/1.0; properties=crc64|XSM/9|\
    RelativeToNow|Absolute|NeverExpire|Thu, 01 Jan 2026 00:00:00 GMT|1B2M2Y8AsgTpgAmY7PhCfg==|\
    application/json|true";
const BODIES: [&[u8]; 9] = [
    b"",
    b"0123456789",
    b"<?xml version=\"1.0\"?><BlockList><Latest>MDAw</Latest><Committed>!</Committed></BlockList>",
    b"<BlockList><Latest></BlockList>",
    b"<Tags><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tags>",
    b"<SignedIdentifiers><SignedIdentifier><Id>a</Id><AccessPolicy><Start>x</Start></AccessPolicy></SignedIdentifier></SignedIdentifiers>",
    b"<!DOCTYPE a [<!ENTITY b \"&c;&c;\"><!ENTITY c \"&b;\">]><StorageServiceProperties>&b;</StorageServiceProperties>",
    b"--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nDELETE /devstoreaccount1/raw/a HTTP/1.1\r\n\r\n\r\n--b--",
    // A structured body of three bytes, whose checksums are wrong.
    b"\x01\x39\0\0\0\0\0\0\0\x01\0\x01\0\x01\0\x03\0\0\0\0\0\0\0abc12345678ABCDEFGH",
];

#[derive(Clone, Debug)]
struct Noise {
    is_dfs: bool,
    is_flat: bool,
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

fn one_of(choices: &'static str) -> impl Strategy<Value = String> {
    let choices: Vec<&str> = choices.split('|').collect();
    prop::sample::select(choices).prop_map(str::to_owned)
}

/// What a header may hold: no control characters, but any other byte.
fn header_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![8 => 0x20..=0x7e_u8, 1 => 0x80..=0xff_u8];
    prop::collection::vec(byte, 0..40)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(&BODIES[..]).prop_map(<[u8]>::to_vec);
    let damaged = (
        prop::sample::select(&BODIES[1..]),
        any::<prop::sample::Index>(),
        any::<u8>(),
    )
        .prop_map(|(body, at, byte)| {
            let mut body = body.to_vec();
            let at = at.index(body.len());
            body[at] = byte;
            body
        });
    let random = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![4 => known, 2 => damaged, 1 => random]
}

fn noise() -> impl Strategy<Value = Noise> {
    let value = prop_oneof![
        6 => one_of(QUERY_VALUES),
        2 => one_of(NUMBERS),
        1 => "[ -~]{0,20}",
    ];
    let header = prop_oneof![
        6 => one_of(HEADER_VALUES).prop_map(String::into_bytes),
        2 => one_of(NUMBERS).prop_map(String::into_bytes),
        1 => header_bytes(),
    ];
    let path = prop_oneof![8 => one_of(PATHS), 1 => "/[!-~]{0,30}"];
    (
        any::<(bool, bool)>(),
        one_of(METHODS),
        path,
        prop::collection::vec((one_of(QUERY_NAMES), value), 0..5),
        prop::collection::vec((one_of(HEADER_NAMES), header), 0..6),
        body(),
    )
        .prop_map(
            |((is_dfs, is_flat), method, path, query, headers, body)| Noise {
                is_dfs,
                is_flat,
                method,
                path,
                query,
                headers,
                body,
            },
        )
}

fn accounts() -> Vec<Account> {
    let mut plain = Account::well_known();
    plain.name = "plain".to_owned();
    plain.flat = true;
    vec![Account::well_known(), plain]
}

fn address(url: &str) -> SocketAddr {
    let host = url.trim_start_matches("http://").split('/').next();
    host.unwrap().parse().unwrap()
}

/// What the server says to these bytes before it closes the connection, or has nothing more to say for so long.
fn answer_within(wait: Duration, address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(wait)).unwrap();
    // The server may have answered and closed before everything is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    // What was read before an error stays.
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn answer_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    answer_within(ANSWER_TIMEOUT, address, bytes)
}

fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

impl Noise {
    /// The request with a signature that holds whatever else it says.
    fn bytes(&self) -> Vec<u8> {
        let accounts = accounts();
        let account = &accounts[usize::from(self.is_flat)];
        let sas = AccountSas {
            permissions: "rwdlacup",
            resource_types: "sco",
            expiry: "2999-01-01T00:00:00Z",
        };
        let sas = account_sas(account, &sas).unwrap();
        let encoded = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let query: Vec<String> = self
            .query
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .chain([sas])
            .collect();
        let path = self.path.replace(['?', '#'], "");
        let mut bytes = format!(
            "{} /{}{path}?{} HTTP/1.1\r\nhost: lake\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.method,
            account.name,
            query.join("&"),
            self.body.len()
        )
        .into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Puts back what earlier noise may have deleted.
fn prepare(emulator: &Emulator) {
    let plain = |path: &str, method: &str, query: &str| Noise {
        is_dfs: path.contains("file"),
        is_flat: false,
        method: method.to_owned(),
        path: path.to_owned(),
        query: query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        headers: vec![("x-ms-blob-type".to_owned(), b"BlockBlob".to_vec())],
        body: Vec::new(),
    };
    for is_flat in [false, true] {
        let mut container = plain("/raw", "PUT", "restype=container");
        let mut blob = plain("/raw/a/file", "PUT", "");
        blob.is_dfs = false;
        blob.body = b"0123456789".to_vec();
        (container.is_flat, blob.is_flat) = (is_flat, is_flat);
        for request in [container, blob] {
            answer_to(address(&emulator.blob_url()), &request.bytes());
        }
    }
}

#[test]
fn no_request_is_an_internal_error_or_goes_without_an_answer() {
    let store = StoreOptions {
        accounts: accounts(),
        ..StoreOptions::default()
    };
    let server = ServerOptions {
        blob_port: 0,
        dfs_port: 0,
        ..ServerOptions::default()
    };
    let emulator = Emulator::start_with(store, server).unwrap();
    let mut runner = prop::test_runner::TestRunner::new(ProptestConfig {
        cases: 6_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let requests = std::cell::Cell::new(0);
    let done = std::cell::Cell::new(0);
    let outcome = runner.run(&noise(), |noise| {
        if requests.replace(requests.get() + 1) % 50 == 0 {
            prepare(&emulator);
        }
        let url = match noise.is_dfs {
            true => emulator.dfs_url(),
            false => emulator.blob_url(),
        };
        let bytes = noise.bytes();
        let answer = answer_to(address(&url), &bytes);
        let status = status(&answer);
        let shown = String::from_utf8_lossy(&bytes);
        let told = String::from_utf8_lossy(&answer);
        prop_assert!(status.is_some(), "no answer to {shown}");
        prop_assert!(
            status != Some(500) && status != Some(503),
            "{told}\nto {shown}"
        );
        done.set(done.get() + u32::from(status < Some(300)));
        Ok(())
    });
    outcome.unwrap();
    // Else it would show nothing.
    assert!(
        done.get() > 100,
        "only {} requests were carried out",
        done.get()
    );
}

#[test]
fn bytes_that_are_no_request_end_their_connection_and_no_other() {
    let emulator = Emulator::start().unwrap();
    let good =
        b"GET /devstoreaccount1?comp=list HTTP/1.1\r\nhost: lake\r\nconnection: close\r\n\r\n";
    let mut runner = prop::test_runner::TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let damaged = (
        any::<prop::sample::Index>(),
        prop::collection::vec(any::<u8>(), 1..8),
    );
    runner
        .run(&damaged, |(at, noise)| {
            let mut bytes = good.to_vec();
            let at = at.index(bytes.len());
            bytes.splice(at..at, noise);
            // What makes the head longer waits for its end, which comes here.
            bytes.extend_from_slice(b"\r\n\r\n");
            // What became of `connection: close` nobody knows.
            let answer = answer_within(SILENCE, address(&emulator.blob_url()), &bytes);
            prop_assert!(
                status(&answer) != Some(500),
                "{}",
                String::from_utf8_lossy(&answer)
            );
            Ok(())
        })
        .unwrap();
    let answer = answer_to(address(&emulator.blob_url()), good);
    assert_eq!(status(&answer), Some(401));
}
