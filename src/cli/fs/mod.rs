//! `lakestage fs`

mod address;
mod read;
mod write;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use lakestage_emulator::{DEFAULT_ACCOUNT_NAME, FileSystem, Store};

use self::address::LakePath;
use super::run::Session;

/// Work with the files of the emulator's lake.
///
/// A path is <filesystem>/<path>, or abfss://<filesystem>@<account>.dfs.core.windows.net/<path>.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage fs ls\n  \
lakestage fs ls -l dataverse-contoso-org1/account\n  \
lakestage fs cat dataverse-contoso-org1/model.json\n  \
lakestage fs put -r ./reports raw/reports\n  \
lakestage fs get raw/reports/2026.csv .")]
pub(crate) struct FsArgs {
    #[command(subcommand)]
    command: FsCommand,

    /// The storage account
    #[arg(long, global = true, help_heading = "Everywhere", default_value = DEFAULT_ACCOUNT_NAME)]
    account: String,
}

#[derive(Debug, Subcommand)]
enum FsCommand {
    /// List filesystems, or what is in a folder
    Ls(LsArgs),
    /// Write files to standard output
    Cat(CatArgs),
    /// Copy a file or a folder out of the lake
    Get(GetArgs),
    /// Copy a file or a folder into the lake
    Put(PutArgs),
    /// Delete files, folders and filesystems
    Rm(RmArgs),
    /// Rename a file or a folder within its filesystem
    Mv(MvArgs),
    /// Show what is known about a file or a folder
    Stat(StatArgs),
    /// Create folders, with those above them; a path of one name is a filesystem
    Mkdir(MkdirArgs),
}

#[derive(Debug, Args)]
struct LsArgs {
    /// A filesystem, a folder or a file; all filesystems where it is left out
    path: Option<LakePath>,
    /// Show size, time and ETag
    #[arg(long, short)]
    long: bool,
    /// Go into folders
    #[arg(long, short = 'R')]
    recursive: bool,
}

#[derive(Debug, Args)]
struct CatArgs {
    /// Files
    #[arg(required = true)]
    paths: Vec<LakePath>,
}

#[derive(Debug, Args)]
struct GetArgs {
    /// A file, or with --recursive a folder
    from: LakePath,
    /// Where to; the current folder where it is left out, - is standard output
    to: Option<PathBuf>,
    /// Copy a folder with everything in it
    #[arg(long, short)]
    recursive: bool,
    /// Replace files that are there
    #[arg(long, short)]
    force: bool,
}

#[derive(Debug, Args)]
struct PutArgs {
    /// A file, - for standard input, or with --recursive a folder
    from: PathBuf,
    /// Where to; a path that ends with / or is a folder takes the name along
    to: LakePath,
    /// Copy a folder with everything in it
    #[arg(long, short)]
    recursive: bool,
    /// Replace files that are there
    #[arg(long, short)]
    force: bool,
    /// The content type that readers are told
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Files and folders; a path of one name is a filesystem
    #[arg(required = true)]
    paths: Vec<LakePath>,
    /// Delete folders with everything in them
    #[arg(long, short)]
    recursive: bool,
    /// It is fine if a path is not there
    #[arg(long, short)]
    force: bool,
}

#[derive(Debug, Args)]
struct MvArgs {
    /// What to rename
    from: LakePath,
    /// Its new path; an existing folder takes it in
    to: LakePath,
}

#[derive(Debug, Args)]
struct StatArgs {
    /// A file, a folder or a filesystem
    path: LakePath,
}

#[derive(Debug, Args)]
struct MkdirArgs {
    /// Folders
    #[arg(required = true)]
    paths: Vec<LakePath>,
}

/// The emulator, for one account.
struct Lake {
    store: Store,
    account: String,
}

impl Lake {
    fn account<'a>(&'a self, path: &'a LakePath) -> &'a str {
        path.account.as_deref().unwrap_or(&self.account)
    }

    fn filesystem(&self, path: &LakePath) -> Result<FileSystem> {
        let account = self.account(path);
        if self.store.account(account).is_none() {
            bail!("the emulator has no account named \"{account}\"");
        }
        Ok(self.store.file_system(account, &path.filesystem))
    }
}

pub(crate) fn run(args: &FsArgs, session: &Session<'_>) -> Result<()> {
    let lake = Lake {
        store: session.data.store()?,
        account: args.account.clone(),
    };
    if lake.store.account(&lake.account).is_none() {
        bail!("the emulator has no account named \"{}\"", lake.account);
    }
    match &args.command {
        FsCommand::Ls(args) => read::ls(args, &lake, session),
        FsCommand::Cat(args) => read::cat(args, &lake, session),
        FsCommand::Get(args) => read::get(args, &lake, session),
        FsCommand::Stat(args) => read::stat(args, &lake, session),
        FsCommand::Put(args) => write::put(args, &lake, session),
        FsCommand::Rm(args) => write::rm(args, &lake),
        FsCommand::Mv(args) => write::mv(args, &lake),
        FsCommand::Mkdir(args) => write::mkdir(args, &lake),
    }
}
