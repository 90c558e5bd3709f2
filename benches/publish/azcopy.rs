//! AzCopy as a peer: it brings the files of a snapshot from a folder into an account of its own. It comes from npm, pinned
//! where the tests with clients have it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lakestage::EmulatorLake;
use lakestage::emulator::{Account, AccountSas, DEFAULT_ACCOUNT_NAME, Emulator, account_sas};
use lakestage::engine::Lake;

const PACKAGE: &str = "../tests/interop/azcopy";
const PROGRAM: &str = "node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64";
const CONTAINER: &str = "azcopy";

/// AzCopy, the folder that it sends, and the account that gets it.
pub struct AzCopy {
    program: PathBuf,
    home: PathBuf,
    files: PathBuf,
    emulator: Emulator,
    /// How long it took, and how many bytes were new, for each run.
    pub runs: Vec<(Duration, u64)>,
}

impl AzCopy {
    /// `None`, with a line that says why, where it cannot be had.
    pub fn find(folder: &Path) -> Option<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join(PACKAGE);
        let program = package.join(PROGRAM);
        if !program.exists() {
            let npm = Command::new("npm")
                .args(["ci", "--silent", "--prefix"])
                .arg(&package)
                .status();
            if !npm.is_ok_and(|status| status.success()) || !program.exists() {
                println!("AzCopy is not there and cannot be had with npm: no peer");
                return None;
            }
        }
        // The package does not mark it as a program.
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let (home, files) = (folder.join("azcopy"), folder.join("files"));
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(&files).unwrap();
        Some(AzCopy {
            program,
            home,
            files,
            emulator: Emulator::start().unwrap(),
            runs: Vec::new(),
        })
    }

    /// Puts what a lake shows at the paths into the folder, and sends the folder.
    pub fn send(&mut self, lake: &dyn Lake, paths: &[String]) {
        let mut new_bytes = 0;
        for path in paths {
            let to = self.files.join(path);
            if !to.exists() || !path.contains("/Snapshot/") {
                let bytes = lake.read(path).unwrap().unwrap();
                new_bytes += bytes.len() as u64;
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::write(&to, bytes).unwrap();
            }
        }
        let url = format!("{}/{CONTAINER}?{}", self.emulator.blob_url(), signature());
        if self.runs.is_empty() {
            let store = self.emulator.store();
            let container = EmulatorLake::new(store, DEFAULT_ACCOUNT_NAME, CONTAINER);
            container.create().unwrap();
        }
        let files = self.files.to_str().unwrap().to_owned();
        let start = Instant::now();
        self.azcopy(&[
            "sync",
            &files,
            &url,
            "--recursive",
            "--from-to",
            "LocalBlob",
        ]);
        self.runs.push((start.elapsed(), new_bytes));
    }

    fn azcopy(&self, arguments: &[&str]) {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("HOME", &self.home)
            .env("AZCOPY_LOG_LOCATION", self.home.join("log"))
            .env("AZCOPY_JOB_PLAN_LOCATION", self.home.join("plan"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && !text.contains("Failed: 1"),
            "{text}"
        );
    }
}

fn signature() -> String {
    let sas = AccountSas {
        permissions: "rwdlacup",
        resource_types: "sco",
        expiry: "2099-01-01T00:00:00Z",
    };
    account_sas(&Account::well_known(), &sas).unwrap()
}
