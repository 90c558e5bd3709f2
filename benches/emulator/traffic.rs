//! Small files over many connections, and one large file, beside Azurite and nginx. Everything is in memory; the
//! files of nginx are in the system's.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use lakestage::emulator::DEFAULT_ACCOUNT_NAME;
use lakestage_benches::{Goal, by_turns, quotient, ratio_line};

use crate::client::{BLOCK_BLOB, Client};
use crate::process::Process;

const CONNECTIONS: usize = 16;
const SMALL_FILE: [u8; 4_096] = [7; 4_096];
const APPEND_BYTES: usize = 8 << 20;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Small files in a round of the emulator and nginx; Azurite gets a fifth, so that it takes about as long.
    pub(crate) files: usize,
    /// MiB of the large file.
    pub(crate) mib: usize,
    pub(crate) rounds: usize,
}

impl Sizes {
    fn files_of_azurite(self) -> usize {
        self.files / 5
    }
}

/// Lets every connection do its share of `files`, and is done when the last one is.
fn on_all_connections(clients: &mut [Client], files: usize, work: fn(&mut Client, &str)) {
    let share = files / clients.len();
    thread::scope(|scope| {
        for (connection, client) in clients.iter_mut().enumerate() {
            scope.spawn(move || {
                for file in 0..share {
                    work(client, &format!("/bench/small/{connection}/{file}"));
                }
            });
        }
    });
}

fn put_blob(client: &mut Client, path: &str) {
    client.expect(201, "PUT", path, BLOCK_BLOB, &SMALL_FILE);
}

fn create_append_flush(client: &mut Client, path: &str) {
    client.expect(201, "PUT", &format!("{path}?resource=file"), "", b"");
    let append = format!("{path}?action=append&position=0");
    client.expect(202, "PATCH", &append, "", &SMALL_FILE);
    let flush = format!("{path}?action=flush&position={}", SMALL_FILE.len());
    client.expect(200, "PATCH", &flush, "", b"");
}

fn read(client: &mut Client, path: &str) {
    assert_eq!(client.expect(200, "GET", path, "", b""), SMALL_FILE.len());
}

/// A server with its connections, and how long each of its files takes.
struct Side {
    clients: Vec<Client>,
    files: usize,
}

impl Side {
    fn new(address: SocketAddr, files: usize) -> Self {
        let clients = (0..CONNECTIONS).map(|_| Client::new(address)).collect();
        Self { clients, files }
    }

    fn run(&mut self, work: fn(&mut Client, &str)) {
        on_all_connections(&mut self.clients, self.files, work);
    }
}

/// Runs ours and a peer's by turns, prints files a second, and gives how many ours does in the time of one of theirs.
fn compare(
    what: &str,
    rounds: usize,
    (ours, our_work): (&mut Side, fn(&mut Client, &str)),
    (theirs, their_work): (&mut Side, fn(&mut Client, &str)),
) -> f64 {
    let (our_files, their_files) = (ours.files, theirs.files);
    let (our_time, their_time) =
        by_turns(rounds, |_| ours.run(our_work), |_| theirs.run(their_work));
    let a_second = |files: usize, time: Duration| files as f64 / time.as_secs_f64();
    let (ours, theirs) = (
        a_second(our_files, our_time),
        a_second(their_files, their_time),
    );
    println!("{what}: {ours:.0} files/s beside {theirs:.0}");
    ours / theirs
}

/// The files of nginx, under the names that the client asks for.
fn write_files(root: &Path, sizes: Sizes, large: &[u8]) {
    let bench = root.join(DEFAULT_ACCOUNT_NAME).join("bench");
    for connection in 0..CONNECTIONS {
        let folder = bench.join(format!("small/{connection}"));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..sizes.files / CONNECTIONS {
            fs::write(folder.join(file.to_string()), SMALL_FILE).unwrap();
        }
    }
    fs::write(bench.join("large"), large).unwrap();
}

fn upload_by_appends(client: &mut Client, bytes: &[u8]) {
    client.expect(201, "PUT", "/bench/large?resource=file", "", b"");
    for (number, chunk) in bytes.chunks(APPEND_BYTES).enumerate() {
        let position = number * APPEND_BYTES;
        let append = format!("/bench/large?action=append&position={position}");
        client.expect(202, "PATCH", &append, "", chunk);
    }
    let flush = format!("/bench/large?action=flush&position={}", bytes.len());
    client.expect(200, "PATCH", &flush, "", b"");
}

fn upload_by_blocks(client: &mut Client, bytes: &[u8]) {
    let mut list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>".to_owned();
    for (number, chunk) in bytes.chunks(APPEND_BYTES).enumerate() {
        // Four letters of base64, the same number of them for each block.
        let id = format!("A{number:03}");
        let target = format!("/bench/large?comp=block&blockid={id}");
        client.expect(201, "PUT", &target, "", chunk);
        list.push_str(&format!("<Latest>{id}</Latest>"));
    }
    list.push_str("</BlockList>");
    client.expect(
        201,
        "PUT",
        "/bench/large?comp=blocklist",
        "",
        list.as_bytes(),
    );
}

fn download(client: &mut Client, bytes: usize) {
    assert_eq!(client.expect(200, "GET", "/bench/large", "", b""), bytes);
}

fn print_speed(what: &str, bytes: usize, ours: Duration, theirs: Duration, peer: &str) {
    let speed = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    println!(
        "{what}: {:.0} MB/s beside {:.0} of {peer}",
        speed(ours),
        speed(theirs)
    );
}

/// Bytes of the large file.
fn large_file(sizes: Sizes) -> Vec<u8> {
    (0..sizes.mib << 20).map(|at| (at % 251) as u8).collect()
}

/// An emulator that keeps nothing, with an empty container.
fn emulator() -> Process {
    let emulator = Process::emulator(None);
    Client::new(emulator.address).expect(201, "PUT", "/bench?restype=container", "", b"");
    emulator
}

/// Measures beside Azurite, if it is at hand, and gives the lines that say whether the promises hold.
pub(crate) fn beside_azurite(sizes: Sizes) -> Vec<String> {
    let Some(azurite) = Process::azurite() else {
        println!(
            "Azurite is not at hand (it takes npm and the network), so nothing is said beside it"
        );
        return Vec::new();
    };
    let (emulator, large) = (emulator(), large_file(sizes));
    Client::new(azurite.address).expect(201, "PUT", "/bench?restype=container", "", b"");
    let mut ours = Side::new(emulator.address, sizes.files);
    let mut theirs = Side::new(azurite.address, sizes.files_of_azurite());
    let rounds = sizes.rounds;
    let created = compare(
        "create, append, flush of 4 KiB beside Azurite's Put Blob",
        rounds,
        (&mut ours, create_append_flush),
        (&mut theirs, put_blob),
    );
    let put = compare(
        "Put Blob of 4 KiB beside Azurite",
        rounds,
        (&mut ours, put_blob),
        (&mut theirs, put_blob),
    );
    let got = compare(
        "read of 4 KiB beside Azurite",
        rounds,
        (&mut ours, read),
        (&mut theirs, read),
    );
    let mut our_client = Client::new(emulator.address);
    let mut their_client = Client::new(azurite.address);
    let (ours, theirs) = by_turns(
        rounds,
        |_| upload_by_appends(&mut our_client, &large),
        |_| upload_by_blocks(&mut their_client, &large),
    );
    print_speed("large file up", large.len(), ours, theirs, "Azurite");
    let up = quotient(theirs, ours);
    let (ours, theirs) = by_turns(
        rounds,
        |_| download(&mut our_client, large.len()),
        |_| download(&mut their_client, large.len()),
    );
    print_speed("large file down", large.len(), ours, theirs, "Azurite");
    let down = quotient(theirs, ours);
    [
        (
            "emulator_create_append_flush_of_azurite_put_blob",
            created,
            5.0,
        ),
        ("emulator_put_blob_of_azurite", put, 10.0),
        ("emulator_small_read_of_azurite", got, 10.0),
        ("emulator_large_up_of_azurite", up, 3.0),
        ("emulator_large_down_of_azurite", down, 1.0),
    ]
    .map(|(name, value, goal)| ratio_line(name, value, Goal::AtLeast(goal)))
    .into()
}

/// As [`beside_azurite`], beside nginx.
pub(crate) fn beside_nginx(scratch: &Path, sizes: Sizes) -> Vec<String> {
    let (emulator, large) = (emulator(), large_file(sizes));
    let root = scratch.join("files");
    write_files(&root, sizes, &large);
    let Some(nginx) = Process::nginx(&root, scratch) else {
        println!("nginx is not at hand, so nothing is said beside it");
        return Vec::new();
    };
    let mut ours = Side::new(emulator.address, sizes.files);
    let mut theirs = Side::new(nginx.address, sizes.files);
    ours.run(put_blob);
    let got = compare(
        "read of 4 KiB beside nginx",
        sizes.rounds,
        (&mut ours, read),
        (&mut theirs, read),
    );
    let mut our_client = Client::new(emulator.address);
    let mut their_client = Client::new(nginx.address);
    upload_by_appends(&mut our_client, &large);
    let (ours, theirs) = by_turns(
        sizes.rounds,
        |_| download(&mut our_client, large.len()),
        |_| download(&mut their_client, large.len()),
    );
    print_speed("large file down", large.len(), ours, theirs, "nginx");
    [
        ("emulator_small_read_of_nginx", got),
        ("emulator_large_down_of_nginx", quotient(theirs, ours)),
    ]
    .map(|(name, value)| ratio_line(name, value, Goal::AtLeast(0.5)))
    .into()
}
