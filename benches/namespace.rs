//! What many paths cost: renaming what is above them, listing them, keeping them in memory, starting with them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lakestage::emulator::{Server, ServerOptions, Store, StoreOptions, SyncMode};
use lakestage_benches::{Goal, by_turns, median, quotient, ratio_line};

use crate::Client;

/// Files of one directory.
const FILES_A_DIRECTORY: usize = 1_000;
/// Renames in a round, since one is too short to measure.
const RENAMES: usize = 20;

fn serve(folder: &Path) -> Server {
    let store = StoreOptions {
        folder: Some(folder.to_owned()),
        sync: SyncMode::Off,
        ..StoreOptions::default()
    };
    let options = ServerOptions {
        blob_port: 0,
        dfs_port: 0,
        ..ServerOptions::default()
    };
    Server::start(Store::open(store).unwrap(), options).unwrap()
}

/// Bytes of memory that the process has; `None` where the system does not tell.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1_024)
}

/// Names of `paths` files, so many in a directory.
fn names(paths: usize) -> impl Iterator<Item = String> {
    (0..paths).map(|n| {
        format!(
            "d{:04}/f{:04}",
            n / FILES_A_DIRECTORY,
            n % FILES_A_DIRECTORY
        )
    })
}

fn rename(client: &mut Client, from: &str, to: &str) {
    let source = format!("x-ms-rename-source: /many/{from}\r\n");
    client.expect(201, "PUT", &format!("/many/{to}"), &source, b"");
}

/// Renames a directory there and back.
fn rename_often(client: &mut Client, name: &str) {
    let other = format!("{name}-renamed");
    for _ in 0..RENAMES / 2 {
        rename(client, name, &other);
        rename(client, &other, name);
    }
}

/// Lists everything page by page, and gives the pages.
fn list(client: &mut Client) -> usize {
    let mut pages = 0;
    let mut continuation = String::new();
    loop {
        let target =
            format!("/many?resource=filesystem&recursive=true&continuation={continuation}");
        client.expect(200, "GET", &target, "", b"");
        pages += 1;
        match client.continuation.take() {
            None => return pages,
            Some(token) => {
                continuation = token
                    .replace('%', "%25")
                    .replace('+', "%2B")
                    .replace('/', "%2F")
                    .replace('=', "%3D");
            }
        }
    }
}

/// From nothing to the first answer.
fn start(folder: &Path) -> Duration {
    let began = Instant::now();
    let server = serve(folder);
    let mut client = Client::new(server.blob_address());
    client.expect(200, "GET", "/?comp=list", "", b"");
    began.elapsed()
}

/// Measures with so many paths, and gives the lines that say whether the promises hold.
pub(crate) fn lines(folder: &Path, paths: usize, rounds: usize) -> Vec<String> {
    let lake = folder.join("many");
    let server = serve(&lake);
    let mut client = Client::new(server.blob_address());
    client.expect(201, "PUT", "/many?restype=container", "", b"");
    client.expect(201, "PUT", "/many/empty?resource=directory", "", b"");
    let before = resident_bytes();
    for name in names(paths) {
        client.expect(
            201,
            "PUT",
            &format!("/many/full/{name}?resource=file"),
            "",
            b"",
        );
    }
    let after = resident_bytes();
    let tree = folder.join("tree");
    for name in names(paths) {
        let path = tree.join(name);
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            fs::create_dir_all(parent).unwrap();
        }
        File::create(path).unwrap();
    }

    let mut other = Client::new(server.blob_address());
    let (full, empty) = by_turns(
        rounds,
        |_| rename_often(&mut client, "full"),
        |_| rename_often(&mut other, "empty"),
    );
    println!(
        "rename: {:.0} µs with {paths} paths below, {:.0} µs with none",
        full.as_secs_f64() * 1e6 / RENAMES as f64,
        empty.as_secs_f64() * 1e6 / RENAMES as f64
    );
    let mut pages = 0;
    let (listed, found) = by_turns(
        rounds,
        |_| pages = list(&mut client),
        |_| {
            let status = Command::new("find")
                .arg(&tree)
                .arg("-ls")
                .stdout(Stdio::null())
                .status();
            assert!(status.unwrap().success());
        },
    );
    println!(
        "list: {:.0} paths/s in {pages} pages, {:.0} of find -ls",
        paths as f64 / listed.as_secs_f64(),
        paths as f64 / found.as_secs_f64()
    );
    drop((client, other));
    drop(server);
    let (nothing, many): (Vec<_>, Vec<_>) = (0..rounds)
        .map(|round| (start(&folder.join(format!("nothing{round}"))), start(&lake)))
        .unzip();
    println!(
        "start to first answer: {:.1} ms with {paths} paths, {:.1} ms with none; the peer is Azurite, which is not run here",
        median(many).as_secs_f64() * 1e3,
        median(nothing).as_secs_f64() * 1e3
    );

    let mut lines = vec![
        ratio_line(
            "emulator_rename_full_of_empty",
            quotient(full, empty),
            Goal::AtMost(2.0),
        ),
        ratio_line(
            "emulator_list_of_find_ls",
            quotient(found, listed),
            Goal::AtLeast(0.5),
        ),
    ];
    match before.zip(after) {
        Some((before, after)) => lines.push(ratio_line(
            "emulator_memory_bytes_a_path",
            after.saturating_sub(before) as f64 / paths as f64,
            Goal::AtMost(500.0),
        )),
        None => println!("memory: this system does not tell"),
    }
    lines
}
