//! The side of the server.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use clap::Parser;
use lakestage::DataFolder;

use super::{Kind, Request, SOCKET_FILE, VERSION, read_frame, socket_path, write_frame};
use crate::cli::command::Cli;
use crate::cli::console::Console;
use crate::cli::progress::Progress;
use crate::cli::run::{Session, dispatch, fail};

const OWNER_ONLY: u32 = 0o600;

/// Listens for commands as long as it lives.
pub(crate) struct ControlServer {
    socket: PathBuf,
}

impl ControlServer {
    /// Starts to listen. The caller holds the data folder's locks, so a socket that is there already was
    /// left by a server that was killed.
    pub(crate) fn start(data: &Arc<DataFolder>) -> Result<Self> {
        let socket = data.root().join(SOCKET_FILE);
        let named = || socket.display().to_string();
        let folder = File::open(data.root()).with_context(named)?;
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(named);
            }
            _ => {}
        }
        let listener = UnixListener::bind(socket_path(&folder)).with_context(named)?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(OWNER_ONLY)).with_context(named)?;
        let data = data.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                match client {
                    Ok(client) => {
                        let data = data.clone();
                        thread::spawn(move || serve(client, &data));
                    }
                    Err(error) => tracing::warn!(%error, "a command could not connect"),
                }
            }
        });
        Ok(ControlServer { socket })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.socket) {
            tracing::warn!(%error, "the control socket could not be removed");
        }
    }
}

fn serve(client: UnixStream, data: &DataFolder) {
    if let Err(error) = serve_one(client, data) {
        tracing::warn!(%error, "a command ended early");
    }
}

fn serve_one(mut client: UnixStream, data: &DataFolder) -> Result<()> {
    let (kind, content) = read_frame(&mut client)?;
    if kind != Kind::Request {
        anyhow::bail!("the client did not say what to do");
    }
    let request: Request = serde_json::from_slice(&content)?;
    let console = RemoteConsole {
        output: Mutex::new(client.try_clone()?),
        input: client,
    };
    let code = carry_out(request, data, &console);
    console.send(Kind::Done, &[code])?;
    Ok(())
}

fn carry_out(request: Request, data: &DataFolder, console: &RemoteConsole) -> u8 {
    let version = request.version.clone();
    let (arguments, folder) = request.into_parts();
    // The client has parsed the same arguments before.
    let cli = match Cli::try_parse_from(std::iter::once("lakestage".into()).chain(arguments)) {
        Ok(cli) if version == VERSION => cli,
        parsed => {
            let json = parsed.is_ok_and(|cli| cli.json);
            let error = anyhow::anyhow!(
                "the server that holds the data folder is lakestage {VERSION}, this command is {version}; use the same version"
            );
            return fail(&error, json, console);
        }
    };
    let session = Session {
        data,
        folder,
        console,
        json: cli.json,
    };
    match dispatch(&cli.command, &session) {
        Ok(()) => 0,
        Err(error) => fail(&error, cli.json, console),
    }
}

/// The terminal of a client.
struct RemoteConsole {
    output: Mutex<UnixStream>,
    input: UnixStream,
}

impl RemoteConsole {
    fn send(&self, kind: Kind, content: &[u8]) -> io::Result<()> {
        let mut client = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        write_frame(&mut *client, kind, content)
    }
}

impl Console for RemoteConsole {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match bytes.is_empty() {
            true => Ok(()),
            false => self.send(Kind::Output, bytes),
        }
    }

    fn note(&self, line: &str) {
        if let Err(error) = self.send(Kind::Note, line.as_bytes()) {
            tracing::debug!(%error, "a client left before it was told: {line}");
        }
    }

    fn check(&self) -> io::Result<()> {
        // Output of nothing shows nothing, and fails where the client is gone.
        self.send(Kind::Output, &[])
    }

    fn input(&self) -> io::Result<Box<dyn Read + Send>> {
        self.send(Kind::WantInput, &[])?;
        Ok(Box::new(RemoteInput {
            client: self.input.try_clone()?,
            chunk: io::Cursor::default(),
            ended: false,
        }))
    }

    fn progress(&self, progress: &Progress) {
        let Ok(content) = serde_json::to_vec(progress) else {
            return;
        };
        if let Err(error) = self.send(Kind::Progress, &content) {
            tracing::debug!(%error, "a client left");
        }
    }
}

/// A client's standard input.
struct RemoteInput {
    client: UnixStream,
    chunk: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl Read for RemoteInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.chunk.read(buffer)?;
            if length > 0 || self.ended || buffer.is_empty() {
                return Ok(length);
            }
            let (kind, content) = read_frame(&mut self.client)?;
            if kind != Kind::Input {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the client sent something else than its input",
                ));
            }
            self.ended = content.is_empty();
            self.chunk = io::Cursor::new(content);
        }
    }
}
