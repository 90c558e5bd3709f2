//! Serves an empty lake in memory until it is killed: `cargo run --example serve -- [blob port] [dfs port] [--flat] [--soft-delete]`.

use lakestage_emulator::{Server, ServerOptions, Store, StoreOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut ports = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .map(|port| port.parse::<u16>());
    let mut options = ServerOptions::default();
    if let Some(port) = ports.next() {
        options.blob_port = port?;
    }
    if let Some(port) = ports.next() {
        options.dfs_port = port?;
    }
    let mut store = StoreOptions::default();
    for account in &mut store.accounts {
        account.flat = std::env::args().any(|argument| argument == "--flat");
        if std::env::args().any(|argument| argument == "--soft-delete") {
            account.soft_delete_days = Some(7);
        }
    }
    let server = Server::start(Store::open(store)?, options)?;
    println!("{}\n{}", server.blob_url(), server.dfs_url());
    loop {
        std::thread::park();
    }
}
