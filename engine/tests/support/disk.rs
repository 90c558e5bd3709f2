//! A file system of its own on a loop device, whose power can be cut.
//!
//! The cut is the file system's own shutdown (`godown`, as its developers test it): at one moment, in
//! the middle of whatever is being written or synced, it stops to send anything to its device, and
//! forgets what it holds in memory. The file behind the device is copied then, and the copy is mounted,
//! which replays the file system's journal. So what a reader finds is what had reached the device, and
//! nothing that only stood in the page cache; stopping or killing the writer would let a sync that is
//! under way come to its end. The kernel writes back nothing on its own meanwhile (`commit=300`, and
//! rounds that are shorter than the time after which pages are old). What is not simulated is a disk
//! that has a cache of its own and loses it although it was told to flush.
#![allow(dead_code)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The file systems that are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
        }
    }

    fn mount_options(self) -> &'static str {
        match self {
            Kind::Ext4 => "loop,commit=300,noinit_itable,noatime",
            Kind::Xfs => "loop,noatime",
        }
    }
}

/// A mounted file system in a file.
pub struct Disk {
    kind: Kind,
    folder: TempDir,
    image: PathBuf,
    images: u32,
    mounted: bool,
}

fn tool(name: &str, arguments: &[&str]) -> Result<Output, String> {
    let output = Command::new(name)
        .args(arguments)
        .output()
        .map_err(|e| format!("{name}: {e}"))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(format!(
            "{name} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

impl Disk {
    /// Makes one, or says why it cannot: only root may mount.
    pub fn new(kind: Kind, mebibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image-0");
        let made = File::create(&image)
            .and_then(|file| file.set_len(u64::from(mebibytes) << 20))
            .map_err(|e| e.to_string())
            .and_then(|()| make_file_system(kind, &image));
        fs::create_dir(folder.path().join("mounted")).unwrap();
        let mut disk = Disk {
            kind,
            folder,
            image,
            images: 1,
            mounted: false,
        };
        match made.and_then(|()| disk.mount()) {
            Ok(()) => Some(disk),
            Err(why) => {
                eprintln!(
                    "SKIPPED: no {} on a loop device, so no power was cut: {why}",
                    kind.name()
                );
                None
            }
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn mount(&mut self) -> Result<(), String> {
        let (image, path) = (self.image.to_string_lossy().into_owned(), self.path());
        let options = self.kind.mount_options();
        tool("mount", &["-o", options, &image, &path.to_string_lossy()])?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) {
        if std::mem::take(&mut self.mounted) {
            let path = self.path();
            for _ in 0..50 {
                if tool("umount", &[&path.to_string_lossy()]).is_ok() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            panic!("{} stays mounted", path.display());
        }
    }

    /// Cuts the power, now.
    pub fn cut(&self) {
        shut_down(&self.path());
    }

    /// After a cut, and once nobody uses it any more: the disk as the power cut left it, mounted again.
    pub fn power_on(&mut self) {
        let copy = self.folder.path().join(format!("image-{}", self.images));
        self.images += 1;
        let names = [&self.image, &copy].map(|path| path.to_string_lossy().into_owned());
        // What unmounting might still write does not count.
        tool("cp", &["--sparse=always", &names[0], &names[1]]).unwrap();
        self.unmount();
        fs::remove_file(&self.image).unwrap();
        self.image = copy;
        self.mount().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let path = self.path().to_string_lossy().into_owned();
            // Whoever died in a test may have left something open.
            let _ = tool("umount", &["--lazy", &path]);
        }
    }
}

fn make_file_system(kind: Kind, image: &Path) -> Result<(), String> {
    let image = image.to_string_lossy();
    match kind {
        Kind::Ext4 => tool("mkfs.ext4", &["-q", "-F", "-m", "0", &image]),
        Kind::Xfs => tool("mkfs.xfs", &["-q", "-f", &image]),
    }
    .map(drop)
}

/// The shutdown of ext4 and XFS, without writing out their journals first.
#[allow(unsafe_code)]
fn shut_down(path: &Path) {
    const SHUTDOWN: rustix::ioctl::Opcode = rustix::ioctl::opcode::read::<u32>(b'X', 125);
    const NO_LOG_FLUSH: u32 = 2;
    let folder = File::open(path).unwrap();
    // SAFETY: the opcode takes a pointer to one u32, which it reads.
    let done = unsafe {
        rustix::ioctl::ioctl(
            &folder,
            rustix::ioctl::Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH),
        )
    };
    done.unwrap();
}
