//! What many paths cost: renaming what is above them, listing them, keeping them in memory, starting with them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lakestage_benches::{Goal, by_turns, median, quotient, ratio_line};

use crate::client::Client;
use crate::process::Process;

/// Connections that fill the lake.
const CONNECTIONS: usize = 16;

/// Files of one directory.
const FILES_A_DIRECTORY: usize = 1_000;
/// Renames in a round, since one is too short to measure.
const RENAMES: usize = 20;

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

/// From nothing to the first answer of a process.
fn start_emulator(folder: Option<&Path>) -> Duration {
    let began = Instant::now();
    let server = Process::emulator(folder);
    Client::new(server.address).expect(200, "GET", "/?comp=list", "", b"");
    began.elapsed()
}

fn start_azurite() -> Option<Duration> {
    let began = Instant::now();
    Process::azurite().map(|_| began.elapsed())
}

/// Creates the files in the lake, over as many connections as have something to do.
fn fill(server: &Process, paths: usize) {
    thread::scope(|scope| {
        for worker in 0..CONNECTIONS {
            let mut client = Client::new(server.address);
            scope.spawn(move || {
                for name in names(paths).skip(worker).step_by(CONNECTIONS) {
                    let target = format!("/many/full/{name}?resource=file");
                    client.expect(201, "PUT", &target, "", b"");
                }
            });
        }
    });
}

/// The same names as files of this machine.
fn plant(tree: &Path, paths: usize) {
    for name in names(paths) {
        let path = tree.join(name);
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            fs::create_dir_all(parent).unwrap();
        }
        File::create(path).unwrap();
    }
}

/// Measures with so many paths, and gives the lines that say whether the promises hold.
pub(crate) fn lines(folder: &Path, paths: usize, rounds: usize) -> Vec<String> {
    let lake = folder.join("many");
    let server = Process::emulator(Some(&lake));
    let mut client = Client::new(server.address);
    client.expect(201, "PUT", "/many?restype=container", "", b"");
    client.expect(201, "PUT", "/many/empty?resource=directory", "", b"");
    let before = server.resident_bytes();
    fill(&server, paths);
    let after = server.resident_bytes();
    let tree = folder.join("tree");
    plant(&tree, paths);
    let mut lines = vec![
        rename_line(&server, paths, rounds),
        list_line(&server, &tree, paths, rounds),
    ];
    match before.zip(after) {
        Some((before, after)) => lines.push(ratio_line(
            "emulator_memory_bytes_a_path",
            after.saturating_sub(before) as f64 / paths as f64,
            Goal::AtMost(500.0),
        )),
        None => println!("memory: this system does not tell"),
    }
    drop((client, server));
    lines.extend(start_lines(&lake, paths, rounds));
    lines
}

fn rename_line(server: &Process, paths: usize, rounds: usize) -> String {
    let (mut client, mut other) = (Client::new(server.address), Client::new(server.address));
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
    ratio_line(
        "emulator_rename_full_of_empty",
        quotient(full, empty),
        Goal::AtMost(2.0),
    )
}

fn list_line(server: &Process, tree: &Path, paths: usize, rounds: usize) -> String {
    let mut client = Client::new(server.address);
    let mut pages = 0;
    let (listed, found) = by_turns(
        rounds,
        |_| pages = list(&mut client),
        |_| {
            let status = Command::new("find")
                .arg(tree)
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
    ratio_line(
        "emulator_list_of_find_ls",
        quotient(found, listed),
        Goal::AtLeast(0.5),
    )
}

fn start_lines(lake: &Path, paths: usize, rounds: usize) -> Vec<String> {
    let empty = median((0..rounds).map(|_| start_emulator(None)).collect());
    let full = median((0..rounds).map(|_| start_emulator(Some(lake))).collect());
    println!(
        "start to first answer: {:.1} ms empty, {:.1} ms with {paths} paths",
        empty.as_secs_f64() * 1e3,
        full.as_secs_f64() * 1e3
    );
    let Some(azurite) = (0..rounds)
        .map(|_| start_azurite())
        .collect::<Option<Vec<_>>>()
    else {
        println!(
            "Azurite is not at hand (it takes npm and the network), so nothing is said beside its start"
        );
        return Vec::new();
    };
    let azurite = median(azurite);
    println!(
        "start to first answer of Azurite: {:.1} ms",
        azurite.as_secs_f64() * 1e3
    );
    vec![
        ratio_line(
            "emulator_start_empty_of_azurite",
            quotient(azurite, empty),
            Goal::AtLeast(20.0),
        ),
        ratio_line(
            "emulator_start_full_of_azurite_empty",
            quotient(azurite, full),
            Goal::AtLeast(1.0),
        ),
    ]
}
