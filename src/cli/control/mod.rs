//! How a command reaches the `lakestage serve` that holds its data folder.
//!
//! The server listens on a socket in the data folder. A client sends its arguments; from then on both
//! sides send frames: a byte for the kind, a length, the content. Input is sent only when the command
//! asks for it, so that a command that reads none takes nothing from the terminal.

mod client;
mod server;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use client::{connect, forward};
pub(crate) use server::ControlServer;

const SOCKET_FILE: &str = "control.sock";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const FRAME_BYTES_MAX: u32 = 16 << 20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Client: the command.
    Request = 1,
    /// Client: standard input; empty at its end.
    Input = 2,
    /// Server: standard output.
    Output = 3,
    /// Server: a line for standard error.
    Note = 4,
    /// Server: how far it is.
    Progress = 5,
    /// Server: send the input.
    WantInput = 6,
    /// Server: the exit code. The last frame.
    Done = 7,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        const ALL: [Kind; 7] = [
            Kind::Request,
            Kind::Input,
            Kind::Output,
            Kind::Note,
            Kind::Progress,
            Kind::WantInput,
            Kind::Done,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    version: String,
    /// As bytes, because a path need not be text.
    arguments: Vec<Vec<u8>>,
    folder: Vec<u8>,
}

impl Request {
    fn new(arguments: &[OsString], folder: &Path) -> Self {
        Request {
            version: VERSION.to_owned(),
            arguments: arguments.iter().map(|a| a.as_bytes().to_vec()).collect(),
            folder: folder.as_os_str().as_bytes().to_vec(),
        }
    }

    fn into_parts(self) -> (Vec<OsString>, PathBuf) {
        let arguments = self.arguments.into_iter().map(OsString::from_vec);
        (arguments.collect(), OsString::from_vec(self.folder).into())
    }
}

fn write_frame(out: &mut impl Write, kind: Kind, content: &[u8]) -> io::Result<()> {
    for chunk in content.chunks(FRAME_BYTES_MAX as usize) {
        write_one(out, kind, chunk)?;
    }
    if content.is_empty() {
        write_one(out, kind, content)?;
    }
    Ok(())
}

fn write_one(out: &mut impl Write, kind: Kind, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(content.len() + 5);
    frame.push(kind as u8);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(content);
    out.write_all(&frame)
}

fn read_frame(input: &mut impl Read) -> io::Result<(Kind, Vec<u8>)> {
    let mut head = [0; 5];
    input.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = u32::from_le_bytes(length);
    match Kind::of(kind) {
        Some(kind) if length <= FRAME_BYTES_MAX => {
            let mut content = vec![0; length as usize];
            input.read_exact(&mut content)?;
            Ok((kind, content))
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the other side does not speak lakestage's control protocol",
        )),
    }
}

/// The socket's path by way of the open folder: a socket's own path may have 107 bytes at most, and a
/// data folder's may be longer.
fn socket_path(folder: &File) -> PathBuf {
    PathBuf::from(format!(
        "/proc/self/fd/{}/{SOCKET_FILE}",
        folder.as_raw_fd()
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        let mut wire = Vec::new();
        write_frame(&mut wire, Kind::Output, b"rows").unwrap();
        write_frame(&mut wire, Kind::Input, b"").unwrap();
        let mut wire = &wire[..];
        assert_eq!(
            read_frame(&mut wire).unwrap(),
            (Kind::Output, b"rows".to_vec())
        );
        assert_eq!(read_frame(&mut wire).unwrap(), (Kind::Input, Vec::new()));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let error = read_frame(&mut &b"GET / HTTP/1.1\r\n"[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
