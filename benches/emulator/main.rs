//! The emulator beside the machine's limits (a bare socket, plain files that are synced as often, `find -ls`) and beside
//! other servers (Azurite, nginx), with the same client.
#![allow(clippy::unwrap_used, missing_docs)]

mod client;
mod namespace;
mod process;
mod traffic;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use clap::Parser;
use lakestage::emulator::{Server, ServerOptions, Store, StoreOptions};
use lakestage_benches::{Goal, by_turns, quotient, ratio_line};

use client::{BLOCK_BLOB, Client};
use traffic::Sizes;

/// Reads and writes through HTTP beside bare sockets and files.
#[derive(Debug, Parser)]
struct Args {
    /// MiB of the file that is compared with a bare socket and a plain file
    #[arg(long, default_value_t = 64)]
    mib: usize,
    /// Small files in a round beside plain files
    #[arg(long, default_value_t = 200)]
    files: usize,
    /// Paths that are listed, renamed above, and started with
    #[arg(long, default_value_t = 1_000_000)]
    paths: usize,
    /// Small files in a round beside Azurite and nginx
    #[arg(long, default_value_t = 8_000)]
    peer_files: usize,
    /// MiB of the file that goes up and down beside Azurite and nginx
    #[arg(long, default_value_t = 1_024)]
    peer_mib: usize,
    /// Rounds; medians are compared
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only the part of this name: disk, azurite, nginx, or namespace
    #[arg(long)]
    only: Option<String>,
    /// Serves a folder, or memory, as one of the processes that are compared
    #[arg(long, hide = true)]
    serve: Option<String>,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// Sends the same bytes to whoever asks with one byte.
fn bare_server(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0];
        while stream.read_exact(&mut asked).is_ok() && stream.write_all(&bytes).is_ok() {}
    });
    address
}

fn main() {
    let args = Args::parse();
    if let Some(folder) = &args.serve {
        process::serve(folder);
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let wants = |part: &str| args.only.as_deref().is_none_or(|only| only == part);
    let mut lines = Vec::new();
    if wants("disk") {
        lines.extend(disk_lines(folder.path(), &args));
    }
    let sizes = Sizes {
        files: args.peer_files,
        mib: args.peer_mib,
        rounds: args.rounds,
    };
    if wants("azurite") {
        lines.extend(traffic::beside_azurite(sizes));
    }
    if wants("nginx") {
        lines.extend(traffic::beside_nginx(folder.path(), sizes));
    }
    if wants("namespace") {
        lines.extend(namespace::lines(folder.path(), args.paths, args.rounds));
    }
    for line in lines {
        println!("{line}");
    }
}

/// One connection to a lake that is synced, beside the machine's own limits.
fn disk_lines(folder: &Path, args: &Args) -> Vec<String> {
    let store = StoreOptions {
        folder: Some(folder.join("lake")),
        ..StoreOptions::default()
    };
    let options = ServerOptions {
        blob_port: 0,
        dfs_port: 0,
        ..ServerOptions::default()
    };
    let server = Server::start(Store::open(store).unwrap(), options).unwrap();
    let mut client = Client::new(server.blob_address());
    client.expect(201, "PUT", "/bench?restype=container", "", b"");
    let bytes: Vec<u8> = (0..args.mib << 20).map(|at| (at % 251) as u8).collect();
    let megabytes = bytes.len() as f64 / 1e6;

    client.expect(201, "PUT", "/bench/large", BLOCK_BLOB, &bytes);
    let bare = bare_server(bytes.clone());
    let mut bare = TcpStream::connect(bare).unwrap();
    let mut buffer = vec![0; 1 << 18];
    let (http, socket) = by_turns(
        args.rounds,
        |_| {
            assert_eq!(
                client.expect(200, "GET", "/bench/large", "", b""),
                bytes.len()
            )
        },
        |_| {
            bare.write_all(b"?").unwrap();
            let mut left = bytes.len();
            while left > 0 {
                let want = left.min(buffer.len());
                left -= bare.read(&mut buffer[..want]).unwrap();
            }
        },
    );
    println!(
        "read: {:.0} MB/s beside {:.0} MB/s of a bare socket",
        megabytes / http.as_secs_f64(),
        megabytes / socket.as_secs_f64()
    );
    let read_ratio = quotient(socket, http);

    let (http, file) = by_turns(
        args.rounds,
        |_| {
            client.expect(201, "PUT", "/bench/written?resource=file", "", b"");
            client.expect(
                202,
                "PATCH",
                "/bench/written?action=append&position=0",
                "",
                &bytes,
            );
            let flush = format!("/bench/written?action=flush&position={}", bytes.len());
            client.expect(200, "PATCH", &flush, "", b"");
        },
        |round| {
            let mut file = File::create(folder.join(format!("plain{round}"))).unwrap();
            file.write_all(&bytes).unwrap();
            file.sync_data().unwrap();
        },
    );
    println!(
        "write: {:.0} MB/s beside {:.0} MB/s of a plain file",
        megabytes / http.as_secs_f64(),
        megabytes / file.as_secs_f64()
    );
    let write_ratio = quotient(file, http);

    let (http, files) = by_turns(
        args.rounds,
        |round| {
            for file in 0..args.files {
                client.expect(
                    201,
                    "PUT",
                    &format!("/bench/small/{round}/{file}"),
                    BLOCK_BLOB,
                    b"small",
                );
            }
        },
        |round| {
            let small = folder.join(format!("small{round}"));
            std::fs::create_dir(&small).unwrap();
            for file in 0..args.files {
                let mut file = File::create(small.join(file.to_string())).unwrap();
                file.write_all(b"small").unwrap();
                file.sync_all().unwrap();
                File::open(&small).unwrap().sync_all().unwrap();
            }
        },
    );
    println!(
        "small files: {:.0}/s beside {:.0}/s of plain files, synced as much",
        args.files as f64 / http.as_secs_f64(),
        args.files as f64 / files.as_secs_f64()
    );
    [
        ("emulator_read_of_bare_socket", read_ratio),
        ("emulator_write_of_plain_file", write_ratio),
        ("emulator_small_files_of_plain_files", quotient(files, http)),
    ]
    .map(|(name, value)| ratio_line(name, value, Goal::AtLeast(0.5)))
    .into()
}
