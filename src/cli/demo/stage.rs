//! The folder that the demo plays in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lakestage::DataFolder;
use lakestage_emulator::DEFAULT_ACCOUNT_NAME;
use lakestage_engine::{Environment, EnvironmentSettings};

const DEMO_FOLDER: &str = "demo";
const MARK_FILE: &str = "made-by-lakestage-demo";

/// Where the demo's own files are.
pub(super) struct Stage {
    /// What `lakestage ingest` is given.
    pub load: PathBuf,
    /// The rows after T1, as they were put in.
    pub initial: PathBuf,
    /// The rows after T2.
    pub current: PathBuf,
}

/// Prepares the folder. What an earlier demo left there is cleared away, and nothing else.
pub(super) fn prepare(
    data: &DataFolder,
    settings: EnvironmentSettings,
) -> Result<(Stage, Environment)> {
    let folder = data.root().join(DEMO_FOLDER);
    let mark = folder.join(MARK_FILE);
    let environment_folder = data.environment_folder(&settings.name);
    if environment_folder.exists() {
        if !mark.exists() {
            bail!(
                "{} is there already and was not made by the demo; choose another folder with --data",
                environment_folder.display()
            );
        }
        // Opening it makes sure that nobody is working in it.
        let filesystem = data.environment(Some(&settings.name))?.filesystem_name();
        data.forget(&settings.name);
        data.store()?
            .delete_file_system(DEFAULT_ACCOUNT_NAME, &filesystem)?;
        remove(&environment_folder)?;
        remove(&folder)?;
    }
    let stage = Stage {
        load: folder.join("load"),
        initial: folder.join("expected").join("initial"),
        current: folder.join("expected").join("current"),
    };
    for folder in [&stage.load, &stage.initial, &stage.current] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::write(&mark, "").with_context(|| mark.display().to_string())?;
    let environment = data.create_environment(settings)?;
    Ok((stage, environment))
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| folder.display().to_string())
}
