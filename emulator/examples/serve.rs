//! Serves an empty lake in memory until it is killed: `cargo run --example serve -- [blob port] [dfs port]`.

use lakestage_emulator::{Server, ServerOptions, Store, StoreOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut ports = std::env::args().skip(1).map(|port| port.parse::<u16>());
    let mut options = ServerOptions::default();
    if let Some(port) = ports.next() {
        options.blob_port = port?;
    }
    if let Some(port) = ports.next() {
        options.dfs_port = port?;
    }
    let server = Server::start(Store::open(StoreOptions::default())?, options)?;
    println!("{}\n{}", server.blob_url(), server.dfs_url());
    loop {
        std::thread::park();
    }
}
