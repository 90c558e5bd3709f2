//! What stands in the lakes: the files that `model.json` names, with the content of the blocks.

use std::io::Read;

use super::{Check, LakeOf};
use crate::block::{BlockEntry, Packs};
use crate::catalog::Catalog;
use crate::checksum::crc32c;
use crate::environment::PACKS_FOLDER;
use crate::error::Result;
use crate::lake::Lake;
use crate::link::{LinkEntry, LinkTable};
use crate::publish::{DataFile, MODEL_FILE, current_path, is_parquet};

/// A part of a file as it is read.
const READ_BYTES: usize = 1 << 20;

impl Check<'_> {
    pub(super) fn lakes(&mut self, catalog: &Catalog, lakes: &LakeOf<'_>) {
        for (name, link) in &catalog.links {
            match lakes(&link.lake, &link.filesystem) {
                Ok(lake) => self.link(catalog, name, link, &*lake),
                Err(error) => {
                    let needed_by = vec![format!("link {name}")];
                    self.finding(&link.lake, "the lake", error.to_string(), needed_by);
                }
            }
        }
    }

    pub(super) fn link(
        &mut self,
        catalog: &Catalog,
        name: &str,
        link: &LinkEntry,
        lake: &dyn Lake,
    ) {
        // One finding for a lake that cannot be read at all, not one for each file.
        if let Err(error) = lake.stat(MODEL_FILE) {
            let needed_by = vec![format!("everybody who reads link {name}")];
            self.finding(
                format!("link {name}"),
                lake.describe(),
                error.to_string(),
                needed_by,
            );
            return;
        }
        let expected = expected(link, lake);
        let link = &expected;
        self.model(name, link, lake);
        for (number, kept) in link.readable() {
            let needed_by = || vec![format!("snapshot {number} of link {name}")];
            for path in &kept.files {
                self.lake_file(name, lake, path, None, needed_by());
            }
        }
        if self.is_full() {
            for (path, checksum) in &link.metadata {
                self.metadata(name, lake, path, *checksum);
            }
        }
        for (table, linked) in &link.tables {
            self.linked_table(catalog, (name, table), (link, linked), lake);
        }
    }

    /// `model.json` is the newest snapshot's.
    fn model(&mut self, name: &str, link: &LinkEntry, lake: &dyn Lake) {
        let Some((number, kept)) = link.history.kept.last_key_value() else {
            return;
        };
        self.report.files += 1;
        let rule = match lake.read(MODEL_FILE) {
            Ok(Some(model)) if crc32c(&[&model]) == kept.model.crc32c => return,
            Ok(Some(_)) => "it is not what was published".to_owned(),
            Ok(None) => "it is missing".to_owned(),
            Err(error) => error.to_string(),
        };
        let needed_by = vec![format!(
            "everybody who reads snapshot {number} of link {name}"
        )];
        self.finding(in_lake(name, MODEL_FILE), "the file", rule, needed_by);
    }

    fn metadata(&mut self, name: &str, lake: &dyn Lake, path: &str, checksum: u32) {
        self.report.files += 1;
        let rule = match lake.read(path) {
            Ok(Some(bytes)) if crc32c(&[&bytes]) == checksum => return,
            Ok(Some(_)) => "it is not what was published".to_owned(),
            Ok(None) => "it is missing".to_owned(),
            Err(error) => error.to_string(),
        };
        let needed_by = vec![format!("readers of metadata of link {name}")];
        self.finding(in_lake(name, path), "the file", rule, needed_by);
    }

    fn linked_table(
        &mut self,
        catalog: &Catalog,
        (name, table): (&str, &str),
        (link, linked): (&LinkEntry, &LinkTable),
        lake: &dyn Lake,
    ) {
        let layout = catalog
            .tables
            .get(table)
            .and_then(|t| t.layout(&linked.layout));
        let Some(layout) = layout else {
            let rule = format!("table {table} does not stand in the layout that the link has");
            self.finding("the catalog", format!("link {name}"), rule, Vec::new());
            return;
        };
        let needed_by = || vec![format!("table {table} of link {name}")];
        let packs = Packs::at(&self.source.folder.join(PACKS_FOLDER));
        // A manifest that is damaged was named with the blocks.
        let mut files = linked.clone();
        let files = files.files(&packs, &layout.partitions, link.files);
        let files = files.unwrap_or_default();
        let made_of = |file: &str, changed_version: u64, crc32c: Option<u32>| {
            if let Some(crc32c) = crc32c {
                return MadeOf::Sum(crc32c);
            }
            match files.get(file) {
                Some(made)
                    if made.entry.changed_version == changed_version && !is_parquet(file) =>
                {
                    MadeOf::Blocks(&packs, made)
                }
                _ => MadeOf::Unknown,
            }
        };
        for (partition, published) in &linked.partitions {
            let expected = Some((published.bytes, published.etag.as_deref()));
            if !self.lake_file(name, lake, &published.file, expected, needed_by()) {
                continue;
            }
            self.content(
                name,
                lake,
                &published.file,
                made_of(partition, published.changed_version, published.crc32c),
                published.bytes,
                needed_by(),
            );
        }
        for (partition, current) in &linked.current {
            let path = current_path(table, partition);
            let expected = Some((current.bytes, None));
            if !self.lake_file(name, lake, &path, expected, needed_by()) {
                continue;
            }
            let made_of = made_of(partition, current.changed_version, current.crc32c);
            self.content(name, lake, &path, made_of, current.bytes, needed_by());
        }
    }

    /// Whether a file is there with the length and the ETag that it was published with.
    fn lake_file(
        &mut self,
        name: &str,
        lake: &dyn Lake,
        path: &str,
        expected: Option<(u64, Option<&str>)>,
        needed_by: Vec<String>,
    ) -> bool {
        self.report.files += 1;
        let rule = match (lake.stat(path), expected) {
            (Ok(None), _) => "it is missing".to_owned(),
            (Err(error), _) => error.to_string(),
            (Ok(Some(found)), Some((bytes, _))) if found.length != bytes => {
                format!(
                    "it has {} bytes, and was published with {bytes}",
                    found.length
                )
            }
            (Ok(Some(found)), Some((_, Some(etag)))) if found.etag != etag => {
                "somebody replaced it after it was published".to_owned()
            }
            (Ok(Some(_)), _) => return true,
        };
        self.finding(in_lake(name, path), "the file", rule, needed_by);
        false
    }

    /// Whether a file has the content that it was made of.
    fn content(
        &mut self,
        name: &str,
        lake: &dyn Lake,
        path: &str,
        made_of: MadeOf<'_>,
        bytes: u64,
        needed_by: Vec<String>,
    ) {
        if !self.is_full() {
            return;
        }
        let manifest = match made_of {
            MadeOf::Blocks(packs, file) => match packs.manifest(&file.entry.manifest) {
                Ok(manifest) => Some((manifest, file)),
                // It was named with the blocks.
                Err(_) => return,
            },
            _ => None,
        };
        let blocks = match &manifest {
            Some((manifest, file)) => file.of(&manifest.blocks),
            None => &[],
        };
        let compared = match made_of {
            MadeOf::Sum(crc32c) => compare_sum(lake, path, crc32c),
            _ => compare(lake, path, blocks, bytes),
        };
        match compared {
            Ok(None) => {}
            Ok(Some((place, rule))) => self.finding(in_lake(name, path), place, rule, needed_by),
            Err(error) => self.finding(
                in_lake(name, path),
                "the file",
                error.to_string(),
                needed_by,
            ),
        }
    }
}

/// What the lake should show. A snapshot that was cut off either became visible, which the lake's `model.json` tells,
/// or it was still replacing near-real-time files and metadata, of which nothing can be said then.
fn expected(link: &LinkEntry, lake: &dyn Lake) -> LinkEntry {
    let Some(pending) = &link.pending else {
        return link.clone();
    };
    let model = lake.read(MODEL_FILE).ok().flatten();
    if model.is_some_and(|model| crc32c(&[&model]) == pending.model_crc32c) {
        return pending.link.clone();
    }
    let mut expected = link.clone();
    expected.forget_replaced(pending);
    expected
}

fn in_lake(link: &str, path: &str) -> String {
    format!("link {link}: {path}")
}

/// What is known of the content of a file.
#[derive(Clone, Copy)]
enum MadeOf<'f> {
    /// The blocks that it was made of have moved on, so it is only read to its end.
    Unknown,
    Blocks(&'f Packs, &'f DataFile),
    /// The checksum of a Parquet file.
    Sum(u32),
}

type Difference = Option<(String, String)>;

fn compare(lake: &dyn Lake, path: &str, blocks: &[BlockEntry], bytes: u64) -> Result<Difference> {
    let Some(mut file) = lake.open(path)? else {
        return Ok(Some(("the file".into(), "it is missing".into())));
    };
    let mut offset = 0;
    let mut buffer = Vec::new();
    for block in blocks {
        buffer.clear();
        let read = file
            .by_ref()
            .take(block.extent.length)
            .read_to_end(&mut buffer);
        if let Err(error) = read {
            return Ok(Some((format!("byte {offset}"), error.to_string())));
        }
        if crc32c(&[&buffer]) != block.extent.crc32c {
            let place = format!("the bytes {offset} to {}", offset + block.extent.length);
            let rule = "they are not those of the block that they were made of";
            return Ok(Some((place, rule.to_owned())));
        }
        offset += block.extent.length;
    }
    match rest_of(&mut *file) {
        Ok(rest) if offset + rest == bytes => Ok(None),
        Ok(rest) => {
            let rule = format!("it has {} bytes, and should have {bytes}", offset + rest);
            Ok(Some(("the end".into(), rule)))
        }
        Err(error) => Ok(Some((format!("byte {offset}"), error.to_string()))),
    }
}

fn compare_sum(lake: &dyn Lake, path: &str, sum: u32) -> Result<Difference> {
    Ok(match lake.read(path)? {
        None => Some(("the file".into(), "it is missing".into())),
        Some(content) if crc32c(&[&content]) == sum => None,
        Some(_) => {
            let rule = "it is not the file that was made of the blocks";
            Some(("its content".into(), rule.to_owned()))
        }
    })
}

fn rest_of(file: &mut dyn Read) -> std::io::Result<u64> {
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
    }
}
