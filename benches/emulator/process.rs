//! The servers that are compared, each a process of its own: this bench again as the emulator, Azurite, nginx.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lakestage::emulator::{Server, ServerOptions, Store, StoreOptions, SyncMode};

use crate::client::Client;

/// Longer than any of them takes to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const AZURITE_FILES: [(&str, &str); 2] = [
    ("package.json", include_str!("azurite/package.json")),
    (
        "package-lock.json",
        include_str!("azurite/package-lock.json"),
    ),
];

/// A server that ends when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// The emulator, over a folder or in memory.
    pub(crate) fn emulator(folder: Option<&Path>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--serve")
            .arg(folder.unwrap_or(Path::new("")))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().parse().unwrap();
        Self { child, address }
    }

    /// nginx over a folder, as it is configured for static files; `None` where it is not at hand.
    pub(crate) fn nginx(root: &Path, scratch: &Path) -> Option<Self> {
        let scratch = fs::canonicalize(scratch).unwrap();
        let root = fs::canonicalize(root).unwrap();
        let address = free_address();
        let configuration = scratch.join("nginx.conf");
        let (scratch, root) = (scratch.display(), root.display());
        let text = format!(
            "daemon off;\nworker_processes auto;\npid {scratch}/nginx.pid;\nerror_log {scratch}/nginx.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n \
             open_file_cache max=10000;\n client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; \
             fastcgi_temp_path {scratch}/fastcgi; uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;\n \
             server {{ listen {address} reuseport; root {root}; }}\n}}\n"
        );
        fs::write(&configuration, text).unwrap();
        let mut command = Command::new(program("nginx", "/usr/sbin/nginx")?);
        command.arg("-c").arg(configuration).arg("-e").arg("stderr");
        Self::start(command, address, "/")
    }

    /// Azurite's Blob service in memory, installed from npm where it is not yet; `None` where that cannot be done.
    pub(crate) fn azurite() -> Option<Self> {
        let folder = azurite_folder()?;
        let modules = folder.join("node_modules");
        let address = free_address();
        let mut command = Command::new(modules.join("node/bin/node"));
        command
            .arg(modules.join("azurite/dist/src/blob/main.js"))
            .args(["--inMemoryPersistence", "--silent", "--disableTelemetry"])
            .args(["--blobPort", &address.port().to_string()]);
        Self::start(command, address, "/?comp=list")
    }

    fn start(mut command: Command, address: SocketAddr, target: &str) -> Option<Self> {
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut process = Self { child, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > START_TIMEOUT || process.child.try_wait().unwrap().is_some() {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Client::new(address).send("GET", target, "", b"");
        Some(process)
    }

    /// Bytes of memory that the process has; `None` where the system does not tell.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1_024)
    }
}

/// What the process that [`Process::emulator`] starts does: serves until it is killed.
pub(crate) fn serve(folder: &str) -> ! {
    let store = StoreOptions {
        folder: Some(PathBuf::from(folder)).filter(|folder| folder.as_os_str() != ""),
        sync: SyncMode::Off,
        ..StoreOptions::default()
    };
    let options = ServerOptions {
        blob_port: 0,
        dfs_port: 0,
        ..ServerOptions::default()
    };
    let server = Server::start(Store::open(store).unwrap(), options).unwrap();
    println!("{}", server.blob_address());
    loop {
        thread::park();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn program(name: &str, usual: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .chain([PathBuf::from(usual)])
        .find(|path| path.is_file())
}

/// Where Azurite is installed, in the target folder.
fn azurite_folder() -> Option<PathBuf> {
    let folder = std::env::current_exe()
        .ok()?
        .ancestors()
        .nth(3)?
        .join("azurite");
    if folder.join("installed").is_file() {
        return Some(folder);
    }
    fs::create_dir_all(&folder).ok()?;
    for (name, text) in AZURITE_FILES {
        fs::write(folder.join(name), text).ok()?;
    }
    let status = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--silent"])
        .current_dir(&folder)
        .status()
        .ok()?;
    if !status.success() {
        return None;
    }
    fs::write(folder.join("installed"), "").ok()?;
    Some(folder)
}
