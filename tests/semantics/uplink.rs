//! The way to an account: it counts the bytes that go up, and can be cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Passes everything on to a server until as many bytes have gone up as it may take.
pub struct Uplink {
    address: SocketAddr,
    meter: Arc<Meter>,
}

struct Meter {
    sent_bytes: AtomicU64,
    limit_bytes: AtomicU64,
}

impl Uplink {
    /// The way to the server at `http://<address>/…`.
    pub fn to(url: &str) -> Self {
        let server = url.split('/').nth(2).unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uplink = Uplink {
            address: listener.local_addr().unwrap(),
            meter: Arc::new(Meter {
                sent_bytes: AtomicU64::new(0),
                limit_bytes: AtomicU64::new(u64::MAX),
            }),
        };
        let meter = Arc::clone(&uplink.meter);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (meter, server) = (Arc::clone(&meter), server.clone());
                thread::spawn(move || meter.connect(&client, &server));
            }
        });
        uplink
    }

    /// The same address by this way.
    pub fn url(&self, url: &str) -> String {
        let server = url.split('/').nth(2).unwrap();
        url.replace(server, &self.address.to_string())
    }

    /// Bytes that have gone up, with everything that belongs to a request.
    pub fn sent_bytes(&self) -> u64 {
        self.meter.sent_bytes.load(Ordering::SeqCst)
    }

    /// Cuts the way when so many bytes more have gone up.
    pub fn cut_after(&self, bytes: u64) {
        let limit = self.sent_bytes() + bytes;
        self.meter.limit_bytes.store(limit, Ordering::SeqCst);
    }

    /// Makes it whole again.
    pub fn mend(&self) {
        self.meter.limit_bytes.store(u64::MAX, Ordering::SeqCst);
    }
}

impl Meter {
    fn connect(&self, client: &TcpStream, server: &str) {
        if self.is_cut() {
            return;
        }
        let Ok(server) = TcpStream::connect(server) else {
            return;
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = io::copy(&mut &server, &mut &*client);
                let _ = client.shutdown(Shutdown::Both);
            });
            let _ = self.up(client, &server);
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        });
    }

    fn is_cut(&self) -> bool {
        self.sent_bytes.load(Ordering::SeqCst) >= self.limit_bytes.load(Ordering::SeqCst)
    }

    fn up(&self, mut client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        loop {
            let length = client.read(&mut buffer)?;
            if length == 0 || self.is_cut() {
                return Ok(());
            }
            self.sent_bytes.fetch_add(length as u64, Ordering::SeqCst);
            server.write_all(&buffer[..length])?;
        }
    }
}
