//! What the demo does, in its order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lakestage::{DataFolder, LakeAddress};
use lakestage_emulator::{ContentReader, DEFAULT_ACCOUNT_NAME, FileSystem};
use lakestage_engine::{
    Environment, EnvironmentSettings, Ingest, IngestFormat, IngestOptions, Lake, LinkTableOptions,
    NewLink, SnapshotReport, TableOptions, TableSchema,
};
use lakestage_fixtures::{SampleTable, Size};
use serde_json::json;

use super::check::{self, Model};
use super::input;
use super::model::TableModel;
use super::stage::{self, Stage};
use super::story::Story;
use crate::cli::link::azure_endpoint;
use crate::cli::output::{bytes_text, count_text, counted, time_text};
use crate::cli::progress::{CountedInput, Step};

const LINK: &str = "lake";
const FIRST_ROUND: u64 = 1;

/// What the demo made.
pub(super) struct Play {
    pub filesystem: String,
    pub initial: PathBuf,
    pub current: PathBuf,
    pub t1_unix_s: i64,
    pub t2_unix_s: i64,
}

/// The demo under way.
struct Scene<'a> {
    story: &'a Story<'a>,
    environment: Environment,
    stage: Stage,
    size: Size,
    models: BTreeMap<&'static str, TableModel>,
    filesystem: String,
    lake: Box<dyn Lake>,
    files: FileSystem,
}

impl Play {
    pub(super) fn run(accounts: u64, data: &DataFolder, story: &Story<'_>) -> Result<Self> {
        let settings: EnvironmentSettings =
            serde_json::from_str(lakestage_fixtures::environment_json())?;
        let (stage, environment) = stage::prepare(data, settings)?;
        let filesystem = environment.filesystem_name();
        let mut scene = Scene {
            story,
            stage,
            size: Size { accounts },
            models: BTreeMap::new(),
            lake: data.lake(&LakeAddress::emulator(), &filesystem)?,
            files: data.store()?.file_system(DEFAULT_ACCOUNT_NAME, &filesystem),
            environment,
            filesystem,
        };
        scene.load(data.root())?;
        scene.link()?;
        let t1 = scene.snapshot("T1")?;
        scene.write_expected(&scene.stage.initial)?;
        let readers = Readers::open(&scene.files, &scene.filesystem)?;
        scene.change()?;
        let t2 = scene.snapshot("T2")?;
        scene.write_expected(&scene.stage.current)?;
        scene.check(readers, &t2)?;
        Ok(Play {
            filesystem: scene.filesystem,
            initial: scene.stage.initial,
            current: scene.stage.current,
            t1_unix_s: t1.snapshot_unix_s,
            t2_unix_s: t2.snapshot_unix_s,
        })
    }
}

impl Scene<'_> {
    fn ingest(&self, table: &str, format: IngestFormat, path: &Path) -> Result<()> {
        let named = || path.display().to_string();
        let ingest = Ingest::into_table(&self.environment, table, IngestOptions::default())?;
        let file = File::open(path).with_context(named)?;
        let length = file.metadata().with_context(named)?.len();
        let label = format!("   taking {table} in");
        let mut input = CountedInput::new(file, self.story.console, &label, Some(length));
        ingest
            .run(format, &mut input, &mut |_| ())
            .with_context(named)?;
        Ok(())
    }

    fn load(&mut self, data: &Path) -> Result<()> {
        let settings = self.environment.settings();
        self.story.heading(&format!(
            "1  Environment {} of organization {} in {}",
            settings.name,
            settings.organization,
            data.display()
        ))?;
        for table in lakestage_fixtures::tables() {
            let schema = TableSchema::from_json(table.schema_json)?;
            let columns = schema.csv_columns();
            let tracked = schema.change_tracking();
            self.environment
                .create_table(schema, TableOptions::default())?;
            let path = self.stage.load.join(format!("{}.csv", table.name));
            let mut model = TableModel::new(table.primary_key);
            let label = format!("   making {}", table.name);
            let mut step = Step::rows(self.story.console, &label, None);
            let rows = lakestage_fixtures::initial_rows(table, self.size);
            let count = input::write_csv(&path, rows.inspect(|_| step.add(1)), &mut model)?;
            drop(step);
            self.ingest(table.name, IngestFormat::Csv, &path)?;
            self.models.insert(table.name, model);
            self.tell_loaded(table, columns, count, tracked)?;
        }
        Ok(())
    }

    fn tell_loaded(
        &self,
        table: &SampleTable,
        columns: usize,
        rows: u64,
        tracked: bool,
    ) -> Result<()> {
        let note = if tracked {
            ""
        } else {
            "  change tracking is off"
        };
        self.story.tell(
            "loaded",
            json!({ "table": table.name, "columns": columns, "rows": rows, "changeTracking": tracked }),
            &format!("   {:<14}{columns:>4} columns{:>8} rows{note}", table.name, count_text(rows)),
        )
    }

    fn new_link(&self, tables: &[&str]) -> NewLink {
        let lake = LakeAddress::emulator();
        let tables = tables.iter().map(|table| LinkTableOptions::of(table));
        NewLink::new(
            LINK,
            &lake.to_string(),
            &azure_endpoint(DEFAULT_ACCOUNT_NAME),
            tables.collect(),
        )
    }

    fn link(&self) -> Result<()> {
        self.story
            .heading(&format!("2  Link to the lake {}", self.filesystem))?;
        let all: Vec<&str> = lakestage_fixtures::tables()
            .iter()
            .map(|table| table.name)
            .collect();
        match self
            .environment
            .create_link(&*self.lake, &self.new_link(&all))
        {
            Ok(()) => bail!("a table without change tracking was linked"),
            Err(error) => {
                self.story.tell(
                    "refused",
                    json!({ "message": error.to_string() }),
                    &format!("   refused: {error}"),
                )?;
            }
        }
        let tracked: Vec<&str> = all
            .into_iter()
            .filter(|table| {
                self.environment
                    .schema(table)
                    .is_ok_and(|schema| schema.change_tracking())
            })
            .collect();
        self.environment
            .create_link(&*self.lake, &self.new_link(&tracked))?;
        self.story.tell(
            "linked",
            json!({ "filesystem": self.filesystem, "tables": tracked }),
            &format!("   linked:  {}", tracked.join(", ")),
        )
    }

    fn snapshot(&self, name: &str) -> Result<SnapshotReport> {
        let label = format!("   publishing {name}");
        let working = Step::start(self.story.console, &label);
        let report = self.environment.snapshot(LINK, &*self.lake)?;
        drop(working);
        let step = if name == "T1" {
            "3  Snapshot T1, the initial sync"
        } else {
            "5  Snapshot T2"
        };
        self.story.heading(step)?;
        let text = format!(
            "   {} ({}): {} written, {}; {} kept; {} in all\n   model.json names {name} from now on",
            report.snapshot_unix_s,
            time_text(report.snapshot_unix_s),
            counted(report.files_written.len() as u64, "file"),
            bytes_text(report.bytes_written),
            report.files_kept.len(),
            counted(report.rows, "row")
        );
        self.story
            .tell("snapshot", json!({ "name": name, "report": report }), &text)?;
        Ok(report)
    }

    fn change(&mut self) -> Result<()> {
        self.story.heading("4  Changes")?;
        for table in lakestage_fixtures::tables() {
            let path = self
                .stage
                .load
                .join(format!("{}-changes.jsonl", table.name));
            let label = format!("   changing {}", table.name);
            let mut step = Step::rows(self.story.console, &label, None);
            let changes = lakestage_fixtures::changes(table, self.size, FIRST_ROUND);
            let changes = changes.inspect(|_| step.add(1));
            let model = self.models.entry(table.name).or_default();
            let counts = input::write_changes(&path, changes, model, table.primary_key)?;
            drop(step);
            self.ingest(table.name, IngestFormat::JsonLines, &path)?;
            self.story.tell(
                "changed",
                json!({
                    "table": table.name,
                    "created": counts.created,
                    "updated": counts.updated,
                    "deleted": counts.deleted,
                }),
                &format!(
                    "   {:<14}{:>6} created{:>6} updated{:>6} deleted",
                    table.name, counts.created, counts.updated, counts.deleted
                ),
            )?;
        }
        Ok(())
    }

    fn write_expected(&self, folder: &Path) -> Result<()> {
        for (table, model) in &self.models {
            model.write(&folder.join(format!("{table}.jsonl")))?;
        }
        Ok(())
    }

    fn check(&self, readers: Readers, t2: &SnapshotReport) -> Result<()> {
        self.story.heading("6  Checks")?;
        let step = Step::start(self.story.console, "   reading T1 to its end");
        let (files, bytes) = readers.still_read_the_same(&self.files)?;
        drop(step);
        self.story.tell(
            "checked",
            json!({ "what": "t1-readers", "files": files, "bytes": bytes }),
            &format!(
                "   a reader that opened T1 before T2 was written has read it to its end: {files} files, {}, byte for byte",
                bytes_text(bytes)
            ),
        )?;
        let model = Model::read(&self.files)?;
        let kept = t2
            .files_kept
            .iter()
            .filter(|path| path.starts_with("contact/"))
            .count();
        if kept == 0
            || t2
                .files_written
                .iter()
                .any(|path| path.starts_with("contact/"))
        {
            bail!("contact did not change, and its files were not kept");
        }
        self.story.tell(
            "checked",
            json!({ "what": "unchanged", "table": "contact", "filesKept": kept }),
            &format!("   contact did not change: model.json still names its {kept} files of T1"),
        )?;
        let mut rows = 0;
        for entity in &model.entities {
            let schema = self.environment.schema(&entity.name)?;
            let expected = self
                .models
                .get(entity.name.as_str())
                .context("a table that was not loaded is in the lake")?;
            let label = format!("   reading {} back", entity.name);
            let _step = Step::start(self.story.console, &label);
            rows += check::table(&model, &self.files, &self.filesystem, &schema, expected)?;
        }
        let mut text = format!(
            "   {} rows of {} tables were read back and compared with what was put in, every text in them",
            count_text(rows),
            model.entities.len()
        );
        // Otherwise the numbers of T2 and of this line look like a mistake.
        if rows != t2.rows {
            text += &format!(
                "\n   (in {} lines of CSV: accountleads has no createdon, so it is append-only, a line a change)",
                count_text(t2.rows)
            );
        }
        self.story.tell(
            "checked",
            json!({ "what": "rows", "rows": rows, "lines": t2.rows }),
            &text,
        )
    }
}

/// Readers that opened T1: of `model.json`, of its files, and of the near-real-time files beside them.
struct Readers {
    opened: Vec<(String, ContentReader, u64)>,
    contents: BTreeMap<String, Vec<u8>>,
}

impl Readers {
    fn open(lake: &FileSystem, filesystem: &str) -> Result<Self> {
        let mut paths = Model::read(lake)?.files(filesystem)?;
        paths.push("model.json".to_owned());
        let current = lake
            .list("", true)?
            .into_iter()
            .filter(|info| !info.is_directory)
            .map(|info| info.path);
        paths.extend(current.filter(|path| path.ends_with(".csv") && !path.contains("/Snapshot/")));
        let mut readers = Readers {
            opened: Vec::new(),
            contents: BTreeMap::new(),
        };
        for path in paths {
            let content = lake.read(&path)?.with_context(|| path.clone())?;
            let mut reader = lake.open(&path)?.with_context(|| path.clone())?;
            // A reader in the middle of its work.
            let mut begun = vec![0; content.len() / 2];
            reader.read_exact(&mut begun)?;
            readers
                .opened
                .push((path.clone(), reader, begun.len() as u64));
            readers.contents.insert(path, content);
        }
        Ok(readers)
    }

    /// Reads on to the end. Gives files and bytes; that T2 replaced what is replaced is checked as well.
    fn still_read_the_same(self, lake: &FileSystem) -> Result<(usize, u64)> {
        let mut bytes = 0;
        let files = self.opened.len();
        for (path, mut reader, begun) in self.opened {
            let mut rest = Vec::new();
            reader
                .read_to_end(&mut rest)
                .with_context(|| path.clone())?;
            let content = self
                .contents
                .get(&path)
                .context("a reader without content")?;
            let expected = content.get(usize::try_from(begun)?..).unwrap_or_default();
            if rest != expected {
                bail!("a reader that opened {path} before T2 was written did not read T1");
            }
            let now = lake
                .read(&path)?
                .with_context(|| format!("{path} is gone"))?;
            let replaced = now != *content;
            if path == "model.json" && !replaced {
                bail!("model.json does not name T2");
            }
            if path.contains("/Snapshot/") && replaced {
                bail!("the snapshot file {path} was changed");
            }
            bytes += content.len() as u64;
        }
        Ok((files, bytes))
    }
}
