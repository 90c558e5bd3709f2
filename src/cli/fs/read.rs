//! Looking, and copying out.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lakestage_emulator::{FileSystem, PathInfo};
use serde::Serialize;

use super::address::LakePath;
use super::{CatArgs, GetArgs, Lake, LsArgs, StatArgs};
use crate::cli::command::resolve;
use crate::cli::console::ConsoleWriter;
use crate::cli::output::{self, Align, TextTable, time_text};
use crate::cli::run::Session;

const NS_PER_S: i64 = 1_000_000_000;

/// A file or folder as `--json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    path: String,
    is_directory: bool,
    length: u64,
    etag: String,
    modified_unix_s: i64,
    content_type: Option<String>,
}

impl Entry {
    /// Its path as the other commands take it: the filesystem in front.
    fn of(filesystem: &str, info: PathInfo) -> Self {
        Entry {
            path: match info.path.is_empty() {
                true => filesystem.to_owned(),
                false => format!("{filesystem}/{}", info.path),
            },
            is_directory: info.is_directory,
            length: info.length,
            etag: info.etag,
            modified_unix_s: info.modified_unix_ns / NS_PER_S,
            content_type: info.content_type,
        }
    }
}

pub(super) fn ls(args: &LsArgs, lake: &Lake, session: &Session<'_>) -> Result<()> {
    let Some(path) = &args.path else {
        let names = lake.store.list_file_systems(&lake.account)?;
        return output::print(session.console, session.json, &names, |names| {
            names.join("\n")
        });
    };
    let filesystem = lake.filesystem(path)?;
    let entries: Vec<Entry> = match find(&filesystem, path)? {
        Some(info) if !info.is_directory => vec![Entry::of(&path.filesystem, info)],
        _ => {
            let below = filesystem.list(&path.path, args.recursive)?;
            {
                let entries = below.into_iter();
                entries
                    .map(|info| Entry::of(&path.filesystem, info))
                    .collect()
            }
        }
    };
    output::print(
        session.console,
        session.json,
        &entries,
        |entries| match args.long {
            true => long_text(entries),
            false => entries.iter().map(short_text).collect(),
        },
    )
}

fn short_text(entry: &Entry) -> String {
    let end = if entry.is_directory { "/" } else { "" };
    format!("{}{end}\n", entry.path)
}

fn long_text(entries: &[Entry]) -> String {
    let mut table = TextTable::new(&[
        ("bytes", Align::Right),
        ("modified", Align::Left),
        ("etag", Align::Left),
        ("path", Align::Left),
    ]);
    for entry in entries {
        table.row(vec![
            entry.length.to_string(),
            time_text(entry.modified_unix_s),
            entry.etag.trim_matches('"').to_owned(),
            short_text(entry).trim_end().to_owned(),
        ]);
    }
    table.text("")
}

/// What a path is. The filesystem itself is a folder.
pub(super) fn find(filesystem: &FileSystem, path: &LakePath) -> Result<Option<PathInfo>> {
    match path.path.is_empty() {
        true => Ok(None),
        false => match filesystem.stat(&path.path)? {
            None => bail!("there is no {path}"),
            found => Ok(found),
        },
    }
}

pub(super) fn cat(args: &CatArgs, lake: &Lake, session: &Session<'_>) -> Result<()> {
    for path in &args.paths {
        copy_out(lake, path, &mut ConsoleWriter(session.console))?;
    }
    Ok(())
}

/// Reads a file as it is now, also when it is replaced meanwhile.
fn copy_out(lake: &Lake, path: &LakePath, out: &mut dyn Write) -> Result<()> {
    let filesystem = lake.filesystem(path)?;
    if find(&filesystem, path)?.is_none_or(|info| info.is_directory) {
        bail!("{path} is a folder");
    }
    let Some(mut reader) = filesystem.open(&path.path)? else {
        bail!("there is no {path}");
    };
    io::copy(&mut reader, out).with_context(|| path.to_string())?;
    Ok(())
}

pub(super) fn stat(args: &StatArgs, lake: &Lake, session: &Session<'_>) -> Result<()> {
    let filesystem = lake.filesystem(&args.path)?;
    let entry = match find(&filesystem, &args.path)? {
        Some(info) => Entry::of(&args.path.filesystem, info),
        None => {
            let root = filesystem
                .stat("")?
                .with_context(|| format!("there is no {}", args.path))?;
            Entry::of(&args.path.filesystem, root)
        }
    };
    output::print(session.console, session.json, &entry, |entry| {
        let kind = if entry.is_directory { "folder" } else { "file" };
        let mut text = format!(
            "path      {}\nkind      {kind}\nbytes     {}\nmodified  {}\netag      {}",
            args.path,
            entry.length,
            time_text(entry.modified_unix_s),
            entry.etag
        );
        if let Some(content_type) = &entry.content_type {
            text.push_str(&format!("\ntype      {content_type}"));
        }
        text
    })
}

pub(super) fn get(args: &GetArgs, lake: &Lake, session: &Session<'_>) -> Result<()> {
    let to = args.to.as_deref().unwrap_or(Path::new("."));
    if to == Path::new("-") {
        return copy_out(lake, &args.from, &mut ConsoleWriter(session.console));
    }
    let mut to = resolve(&session.folder, to);
    let filesystem = lake.filesystem(&args.from)?;
    let is_folder = find(&filesystem, &args.from)?.is_none_or(|info| info.is_directory);
    if to.is_dir() {
        to.push(args.from.name());
    }
    if !is_folder {
        return get_file(lake, &args.from, &to, args.force);
    }
    if !args.recursive {
        bail!("{} is a folder; add --recursive to copy it", args.from);
    }
    fs::create_dir_all(&to).with_context(|| to.display().to_string())?;
    for info in filesystem.list(&args.from.path, true)? {
        let below = info
            .path
            .strip_prefix(&args.from.path)
            .unwrap_or(&info.path);
        let target = to.join(safe(below.trim_start_matches('/'))?);
        let source = LakePath {
            path: info.path.clone(),
            ..args.from.clone()
        };
        match info.is_directory {
            true => fs::create_dir_all(&target).with_context(|| target.display().to_string())?,
            false => get_file(lake, &source, &target, args.force)?,
        }
    }
    Ok(())
}

/// A name in a lake may be `..`; on this side it would lead out of the folder.
fn safe(path: &str) -> Result<PathBuf> {
    let leads_out = path.split('/').any(|part| part == "..");
    match leads_out {
        true => bail!("\"{path}\" would be written outside of the target folder"),
        false => Ok(PathBuf::from(path)),
    }
}

fn get_file(lake: &Lake, from: &LakePath, to: &Path, force: bool) -> Result<()> {
    let named = || to.display().to_string();
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    let options = match force {
        true => options.truncate(true),
        false => options.create_new(true),
    };
    let mut file = match options.open(to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!(
                "{} is there already; add --force to replace it",
                to.display()
            )
        }
        opened => opened.with_context(named)?,
    };
    copy_out(lake, from, &mut file)?;
    file.sync_all().with_context(named)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        assert!(safe("a/../../b").is_err());
        assert_eq!(safe("a/..b/c").unwrap(), Path::new("a/..b/c"));
    }
}
