//! Reads and writes through HTTP beside the machine's limits: the same bytes over a bare loopback connection, and into
//! a plain file that is synced as often; and what many paths cost.
#![allow(clippy::unwrap_used, missing_docs)]

mod namespace;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use clap::Parser;
use lakestage::emulator::{
    Account, AccountSas, DEFAULT_ACCOUNT_NAME, Server, ServerOptions, Store, StoreOptions,
    account_sas,
};
use lakestage_benches::{Goal, by_turns, quotient, ratio_line};

/// Reads and writes through HTTP beside bare sockets and files.
#[derive(Debug, Parser)]
struct Args {
    /// MiB of a file
    #[arg(long, default_value_t = 64)]
    mib: usize,
    /// Small files in a round
    #[arg(long, default_value_t = 200)]
    files: usize,
    /// Paths that are listed, renamed above, and started with; the promises are about 1000000
    #[arg(long, default_value_t = 20_000)]
    paths: usize,
    /// Rounds; medians are compared
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// One connection that is kept, and a signature for everything.
struct Client {
    stream: TcpStream,
    sas: String,
    /// Where the last list goes on.
    continuation: Option<String>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let sas = AccountSas {
            permissions: "rwdlacm",
            resource_types: "sco",
            expiry: "2999-01-01T00:00:00Z",
        };
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            stream,
            sas: account_sas(&Account::well_known(), &sas).unwrap(),
            continuation: None,
        }
    }

    /// Sends a request, reads the answer away, and gives its status and the bytes of its body.
    fn send(&mut self, method: &str, target: &str, header: &str, body: &[u8]) -> (u16, usize) {
        let mark = if target.contains('?') { '&' } else { '?' };
        let head = format!(
            "{method} /{DEFAULT_ACCOUNT_NAME}{target}{mark}{} HTTP/1.1\r\nhost: bench\r\nx-ms-version: 2023-11-03\r\n{header}content-length: {}\r\n\r\n",
            self.sas,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).unwrap();
        self.stream.write_all(body).unwrap();
        let mut buffer = vec![0; 1 << 18];
        let mut filled = 0;
        let head_end = loop {
            let length = self.stream.read(&mut buffer[filled..]).unwrap();
            assert!(length > 0, "the server hung up");
            filled += length;
            if let Some(end) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..head_end]);
        // The server writes names of headers in lower case, and a token has both.
        self.continuation = head
            .lines()
            .find_map(|line| line.strip_prefix("x-ms-continuation: "))
            .map(|token| token.trim().to_owned());
        let head = head.to_ascii_lowercase();
        let status = head[9..12].parse().unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.trim().parse::<usize>().unwrap());
        let mut left = length - (filled - head_end).min(length);
        while left > 0 {
            let want = left.min(buffer.len());
            left -= self.stream.read(&mut buffer[..want]).unwrap();
        }
        (status, length)
    }

    fn expect(
        &mut self,
        status: u16,
        method: &str,
        target: &str,
        header: &str,
        body: &[u8],
    ) -> usize {
        let (answered, length) = self.send(method, target, header, body);
        assert_eq!(answered, status, "{method} {target}");
        length
    }
}

const BLOCK_BLOB: &str = "x-ms-blob-type: BlockBlob\r\n";

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
    let folder = tempfile::tempdir_in(".").unwrap();
    let store = StoreOptions {
        folder: Some(folder.path().join("lake")),
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
            let mut file = File::create(folder.path().join(format!("plain{round}"))).unwrap();
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
            let small = folder.path().join(format!("small{round}"));
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
    println!(
        "{}",
        ratio_line(
            "emulator_read_of_bare_socket",
            read_ratio,
            Goal::AtLeast(0.5)
        )
    );
    println!(
        "{}",
        ratio_line(
            "emulator_write_of_plain_file",
            write_ratio,
            Goal::AtLeast(0.5)
        )
    );
    println!(
        "{}",
        ratio_line(
            "emulator_small_files_of_plain_files",
            quotient(files, http),
            Goal::AtLeast(0.5)
        )
    );
    for line in namespace::lines(folder.path(), args.paths, args.rounds) {
        println!("{line}");
    }
}
