//! TLS on the server's ports.

use std::sync::Arc;

use lakestage_emulator::{AccessOptions, Emulator, ServerOptions, Store, StoreOptions, Tls};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client::{Lake, Port};

/// A client that trusts one authority, or none.
pub fn connector(authority_pem: Option<&str>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = authority_pem {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Whether a client that trusts the authority takes the server for `name`.
fn is_taken_for(lake: &Lake, authority_pem: Option<&str>, name: &str) -> bool {
    lake.run(async {
        let stream = TcpStream::connect(lake.address(Port::Blob)).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        connector(authority_pem).connect(name, stream).await.is_ok()
    })
}

#[test]
fn both_ports_speak_tls_and_plain_http() {
    let lake = Lake::secure(AccessOptions::default());
    for port in [Port::Blob, Port::Dfs] {
        let list = lake
            .signed(port, "GET", "/?comp=list", &[], b"")
            .expect(200);
        assert!(
            list.text().contains("ServiceEndpoint=\"https://"),
            "{}",
            list.text()
        );
    }
    let lake = lake.plain();
    for port in [Port::Blob, Port::Dfs] {
        let list = lake
            .signed(port, "GET", "/?comp=list", &[], b"")
            .expect(200);
        assert!(
            list.text().contains("ServiceEndpoint=\"http://"),
            "{}",
            list.text()
        );
    }
}

#[test]
fn a_made_certificate_is_for_the_names_of_the_machine_and_of_the_accounts() {
    let lake = Lake::secure(AccessOptions::default());
    let authority = Some(lake.authority_pem());
    for name in [
        "localhost",
        "127.0.0.1",
        "::1",
        "devstoreaccount1.blob.localhost",
        "devstoreaccount1.dfs.localhost",
        "devstoreaccount1-secondary.blob.localhost",
        "devstoreaccount1.dfs.core.windows.net",
    ] {
        assert!(is_taken_for(&lake, authority, name), "{name}");
    }
    assert!(!is_taken_for(
        &lake,
        authority,
        "contoso.dfs.core.windows.net"
    ));
    // Whoever does not trust the authority sends nothing.
    assert!(!is_taken_for(&lake, None, "localhost"));
}

#[test]
fn an_own_certificate_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let made = Tls::SelfSigned {
        folder: Some(folder.path().to_owned()),
        names: vec!["lake.example".to_owned()],
    };
    let serve = |tls: Tls| {
        let options = ServerOptions {
            tls: Some(tls),
            ..ServerOptions::default()
        };
        Lake::with_options(Store::open(StoreOptions::default()).unwrap(), options)
    };
    let authority = serve(made).authority_pem().to_owned();
    let given = |key: &str| Tls::Given {
        certificate_file: folder.path().join("server.pem"),
        key_file: folder.path().join(key),
    };
    let lake = serve(given("server.key"));
    assert!(is_taken_for(&lake, Some(&authority), "lake.example"));
    // A file that is none is told by its name, before anything listens.
    let wrong = ServerOptions {
        blob_port: 0,
        dfs_port: 0,
        tls: Some(given("none.key")),
        ..ServerOptions::default()
    };
    let error = Emulator::start_with(StoreOptions::default(), wrong).unwrap_err();
    assert!(error.to_string().contains("none.key"), "{error}");
}

#[test]
fn plain_http_is_refused_where_only_https_is_taken() {
    let lake = Lake::secure(AccessOptions {
        https_only: true,
        ..AccessOptions::default()
    });
    lake.blob("GET", "/?comp=list", &[], b"").expect(200);
    let lake = lake.plain();
    lake.blob("GET", "/?comp=list", &[], b"")
        .expect_error(400, "AccountRequiresHttps");
    lake.dfs("GET", "/raw?resource=filesystem&recursive=true", &[], b"")
        .expect_error(400, "AccountRequiresHttps");
}

#[test]
fn a_connection_that_says_nothing_does_not_keep_the_server_from_ending() {
    let lake = Lake::secure(AccessOptions::default());
    let address = lake.address(Port::Blob);
    let silent = std::net::TcpStream::connect(address).unwrap();
    lake.blob("GET", "/?comp=list", &[], b"").expect(200);
    let begin = std::time::Instant::now();
    drop(lake);
    assert!(begin.elapsed() < std::time::Duration::from_secs(5));
    drop(silent);
}
