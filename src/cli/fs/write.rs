//! Copying in, and changing.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use lakestage_emulator::{FileSystem, WriteOptions};

use super::address::LakePath;
use super::{Lake, MkdirArgs, MvArgs, PutArgs, RmArgs};
use crate::cli::command::resolve;
use crate::cli::run::Session;

pub(super) fn put(args: &PutArgs, lake: &Lake, session: &Session<'_>) -> Result<()> {
    let filesystem = lake.filesystem(&args.to)?;
    if args.from == Path::new("-") {
        let mut input = session.console.input()?;
        return put_stream(&filesystem, &mut *input, &args.to, args);
    }
    let from = resolve(&session.folder, &args.from);
    let named = || from.display().to_string();
    let is_folder = fs::metadata(&from).with_context(named)?.is_dir();
    let to = target(&filesystem, args, &from)?;
    if !is_folder {
        let mut file = File::open(&from).with_context(named)?;
        return put_stream(&filesystem, &mut file, &to, args);
    }
    if !args.recursive {
        bail!("{} is a folder; add --recursive to copy it", from.display());
    }
    put_folder(&filesystem, &from, &to, args)
}

/// Where a file goes: into the path if that is a folder, else to the path itself.
fn target(filesystem: &FileSystem, args: &PutArgs, from: &Path) -> Result<LakePath> {
    let to = &args.to;
    let into = to.path.is_empty()
        || to.is_folder
        || filesystem
            .stat(&to.path)?
            .is_some_and(|info| info.is_directory);
    if !into {
        return Ok(to.clone());
    }
    match from
        .canonicalize()?
        .file_name()
        .and_then(|name| name.to_str())
    {
        Some(name) => Ok(to.join(name)),
        None => bail!("{} has no name that the lake can take", from.display()),
    }
}

fn put_folder(filesystem: &FileSystem, from: &Path, to: &LakePath, args: &PutArgs) -> Result<()> {
    filesystem.create_directory(&to.path)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let source = entry.with_context(|| from.display().to_string())?.path();
        let named = || source.display().to_string();
        let Some(name) = source.file_name().and_then(|name| name.to_str()) else {
            bail!(
                "the name of {} is not UTF-8, which the lake needs",
                source.display()
            );
        };
        let to = to.join(name);
        match fs::metadata(&source).with_context(named)?.is_dir() {
            true => put_folder(filesystem, &source, &to, args)?,
            false => {
                let mut file = File::open(&source).with_context(named)?;
                put_stream(filesystem, &mut file, &to, args)?;
            }
        }
    }
    Ok(())
}

fn put_stream(
    filesystem: &FileSystem,
    input: &mut dyn Read,
    to: &LakePath,
    args: &PutArgs,
) -> Result<()> {
    if to.path.is_empty() || to.is_folder {
        bail!("name the file: {}/<name>", to);
    }
    if !args.force && filesystem.stat(&to.path)?.is_some() {
        bail!("{to} is there already; add --force to replace it");
    }
    let options = WriteOptions {
        content_type: args.content_type.clone(),
        ..WriteOptions::default()
    };
    filesystem
        .write_stream(&to.path, input, &options)
        .with_context(|| to.to_string())?;
    Ok(())
}

pub(super) fn rm(args: &RmArgs, lake: &Lake) -> Result<()> {
    for path in &args.paths {
        let filesystem = lake.filesystem(path)?;
        let gone = match path.path.is_empty() {
            true if !args.recursive => {
                bail!("{path} is a filesystem; add --recursive to delete it with everything in it")
            }
            true => lake
                .store
                .delete_file_system(lake.account(path), &path.filesystem)?,
            false => delete_path(&filesystem, path, args.recursive)?,
        };
        if !gone && !args.force {
            bail!("there is no {path}");
        }
    }
    Ok(())
}

fn delete_path(filesystem: &FileSystem, path: &LakePath, recursive: bool) -> Result<bool> {
    let is_folder = filesystem
        .stat(&path.path)?
        .is_some_and(|info| info.is_directory);
    if is_folder && !recursive && !filesystem.list(&path.path, false)?.is_empty() {
        bail!("{path} is a folder with something in it; add --recursive to delete it all");
    }
    Ok(filesystem.delete(&path.path, recursive)?)
}

pub(super) fn mv(args: &MvArgs, lake: &Lake) -> Result<()> {
    let (from, to) = (&args.from, &args.to);
    let same = from.filesystem == to.filesystem && lake.account(from) == lake.account(to);
    if !same {
        bail!("{from} and {to} are in different filesystems; use get and put, then rm");
    }
    if from.path.is_empty() {
        bail!("a filesystem cannot be renamed");
    }
    let filesystem = lake.filesystem(from)?;
    let into = to.path.is_empty()
        || to.is_folder
        || filesystem
            .stat(&to.path)?
            .is_some_and(|info| info.is_directory);
    let to = match into {
        true => to.join(from.name()),
        false => to.clone(),
    };
    filesystem
        .rename(&from.path, &to.path)
        .with_context(|| format!("{from} to {to}"))?;
    Ok(())
}

pub(super) fn mkdir(args: &MkdirArgs, lake: &Lake) -> Result<()> {
    for path in &args.paths {
        if path.path.is_empty() {
            lake.filesystem(path)?;
            lake.store
                .create_file_system(lake.account(path), &path.filesystem)?;
        } else {
            lake.filesystem(path)?.create_directory(&path.path)?;
        }
    }
    Ok(())
}
