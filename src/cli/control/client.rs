//! The side of the command that was typed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};

use super::{Kind, Request, read_frame, socket_path, write_frame};
use crate::cli::console::Console;

const INPUT_CHUNK_BYTES: usize = 256 << 10;

/// The server that holds a data folder, if there is one.
pub(crate) fn connect(data: &Path) -> Result<Option<UnixStream>> {
    let Ok(folder) = File::open(data) else {
        return Ok(None);
    };
    match UnixStream::connect(socket_path(&folder)) {
        Ok(server) => Ok(Some(server)),
        // No socket, or one that a killed server left.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error)
            .with_context(|| format!("the server that holds {} cannot be reached", data.display())),
    }
}

/// Has the server carry out a command, and gives its exit code.
pub(crate) fn forward(
    mut server: UnixStream,
    arguments: &[OsString],
    folder: &Path,
    console: &dyn Console,
) -> Result<u8> {
    let request = serde_json::to_vec(&Request::new(arguments, folder))?;
    write_frame(&mut server, Kind::Request, &request).context(LOST)?;
    loop {
        let (kind, content) = read_frame(&mut server).context(LOST)?;
        match kind {
            Kind::Output => console.write(&content)?,
            Kind::Note => console.note(&String::from_utf8_lossy(&content)),
            Kind::Progress => console.progress(&serde_json::from_slice(&content)?),
            Kind::WantInput => {
                let (input, server) = (console.input()?, server.try_clone()?);
                // Not joined: a command that failed does not wait for the end of its input.
                thread::spawn(move || send_input(input, server));
            }
            Kind::Done => return Ok(content.first().copied().unwrap_or(1)),
            Kind::Request | Kind::Input => {}
        }
    }
}

const LOST: &str =
    "the server went away while it worked for this command; what it had acknowledged is kept";

fn send_input(mut input: Box<dyn Read + Send>, mut server: UnixStream) {
    let mut chunk = vec![0; INPUT_CHUNK_BYTES];
    loop {
        let length = match input.read(&mut chunk) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Closing without an end tells the server that the input is not whole.
            Err(_) => return drop(server.shutdown(std::net::Shutdown::Write)),
        };
        if write_frame(&mut server, Kind::Input, &chunk[..length]).is_err() || length == 0 {
            return;
        }
    }
}
