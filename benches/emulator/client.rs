//! A client of HTTP/1.1 over a bare socket, the same for the emulator and its peers, so that none of the time is the
//! client's own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use lakestage::emulator::{Account, AccountSas, DEFAULT_ACCOUNT_NAME, account_sas};

/// The header of a blob that is put whole.
pub(crate) const BLOCK_BLOB: &str = "x-ms-blob-type: BlockBlob\r\n";

/// One connection that is kept, and a signature for everything.
pub(crate) struct Client {
    stream: TcpStream,
    sas: String,
    /// Where the last list goes on.
    pub(crate) continuation: Option<String>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
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
            buffer: vec![0; 1 << 18],
        }
    }

    /// Sends a request, reads the answer away, and gives its status and the bytes of its body.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        header: &str,
        body: &[u8],
    ) -> (u16, usize) {
        let mark = if target.contains('?') { '&' } else { '?' };
        let mut request = format!(
            "{method} /{DEFAULT_ACCOUNT_NAME}{target}{mark}{} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-ms-version: 2023-11-03\r\n{header}content-length: {}\r\n\r\n",
            self.sas,
            body.len()
        )
        .into_bytes();
        match body.len() <= 1 << 16 {
            true => request.extend_from_slice(body),
            false => self.stream.write_all(&request).unwrap(),
        }
        match body.len() <= 1 << 16 {
            true => self.stream.write_all(&request).unwrap(),
            false => self.stream.write_all(body).unwrap(),
        }
        self.read_answer()
    }

    fn read_answer(&mut self) -> (u16, usize) {
        let mut filled = 0;
        let head_end = loop {
            let length = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(length > 0, "the server hung up");
            filled += length;
            if let Some(end) = end_of_head(&self.buffer[..filled]) {
                break end;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let value = |name: &str| {
            head.lines().find_map(|line| {
                let (known, value) = line.split_once(':')?;
                known.eq_ignore_ascii_case(name).then_some(value.trim())
            })
        };
        let status = head[9..12].parse().unwrap();
        self.continuation = value("x-ms-continuation").map(str::to_owned);
        let length: usize = value("content-length").map_or(0, |length| length.parse().unwrap());
        if value("transfer-encoding").is_some() {
            let mut end = self.buffer[head_end..filled].to_vec();
            while !end.ends_with(b"0\r\n\r\n") {
                let length = self.stream.read(&mut self.buffer).unwrap();
                end.extend_from_slice(&self.buffer[..length]);
            }
            return (status, end.len());
        }
        let mut left = length - (filled - head_end).min(length);
        while left > 0 {
            let want = left.min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..want]).unwrap();
            assert!(read > 0, "the server hung up in an answer");
            left -= read;
        }
        (status, length)
    }

    pub(crate) fn expect(
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

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(end + 4)
}
