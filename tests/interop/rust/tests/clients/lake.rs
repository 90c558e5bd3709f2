//! A lake served for one test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Once;

/// The account that every client of an emulator knows; it is published and opens nothing else.
pub const ACCOUNT: &str = "devstoreaccount1";
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running server with one empty filesystem; it ends when this is dropped.
pub struct Lake {
    server: Child,
    _folder: tempfile::TempDir,
    pub blob_endpoint: String,
    pub dfs_endpoint: String,
}

pub const FILESYSTEM: &str = "rust";

impl Lake {
    pub fn start() -> Self {
        // The clients are built without a preference, and one has to be there even for plain HTTP.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            rustls::crypto::ring::default_provider()
                .install_default()
                .expect("nothing else installs one");
            opendal_http_transport_reqwest::install_default();
        });
        let program = std::env::var_os("LAKESTAGE_BIN")
            .map(PathBuf::from)
            .expect("set LAKESTAGE_BIN to the lakestage command that is to be tested");
        let folder = tempfile::tempdir().unwrap();
        let mut server = Command::new(program)
            .arg("--json")
            .arg("--data")
            .arg(folder.path().join("data"))
            .args([
                "serve",
                "--sync",
                "off",
                "--blob-port",
                "0",
                "--dfs-port",
                "0",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let serving = loop {
            let line = lines
                .next()
                .expect("the server ended before it served")
                .unwrap();
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["serving"] == true {
                break event;
            }
        };
        let endpoint = |name: &str| serving[name].as_str().unwrap().to_owned();
        let lake = Lake {
            server,
            _folder: folder,
            blob_endpoint: endpoint("blobEndpoint"),
            dfs_endpoint: endpoint("dfsEndpoint"),
        };
        lake.make_filesystem();
        lake
    }

    /// Neither client makes filesystems, so the command does.
    fn make_filesystem(&self) {
        let made = Command::new(std::env::var_os("LAKESTAGE_BIN").unwrap())
            .arg("--data")
            .arg(self._folder.path().join("data"))
            .args(["fs", "mkdir", FILESYSTEM])
            .status()
            .unwrap();
        assert!(made.success());
    }
}

impl Drop for Lake {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
