//! A container of an account as a lake of the engine.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use azure_core::Bytes;
use azure_core::http::{Etag, RequestContent, StatusCode};
use azure_storage_blob::models::{
    BlobClientGetPropertiesResultHeaders as _, BlobContainerClientGetAccountInfoResultHeaders as _,
    BlobContainerClientListBlobsOptions, BlockBlobClientUploadOptions, ListBlobsIncludeItem,
};
use futures::TryStreamExt as _;
use lakestage_engine::{Cost, Error, Lake, LakeEntry, Part, Result, Traffic};

use super::client::{AccountOptions, Client};
use super::failure::{self, Failure};
use super::known::{Known, digest_name};
use super::local::LocalPart;
use super::pace::{IgnoredSchedule, Sending};
use super::reader::BodyReader;
use super::upload::{Meter, Uploads};

/// Marks a blob as a folder, on accounts with a hierarchical namespace as well.
const FOLDER_MARK: &str = "hdi_isfolder";
const CSV: &str = "text/csv";
const MAX_LISTED: i32 = 5_000;

/// One container of a storage account as a [`Lake`]. Clones share connections and what is known of the files.
#[derive(Clone)]
pub struct AccountLake {
    uploads: Arc<Uploads>,
    options: AccountOptions,
    name: String,
    pub(super) writer: String,
}

impl AccountLake {
    /// The container of that name, whether it exists yet or not. Nothing is sent yet.
    ///
    /// `folder` keeps what is known of the account's files; `writer` tells this data folder from others.
    ///
    /// # Errors
    /// When the credential is not there, or the folder cannot be used.
    pub fn new(
        options: &AccountOptions,
        container: &str,
        folder: &Path,
        writer: &str,
    ) -> anyhow::Result<Self> {
        let client = Client::new(options, container)?;
        let folder = folder.join(digest_name(client.url().as_str()));
        let known = Known::open(&folder).with_context(|| folder.display().to_string())?;
        Ok(AccountLake {
            uploads: Arc::new(Uploads {
                client,
                folder,
                connections: options.connections.max(1),
                known: Mutex::new(known),
                meter: Meter::default(),
            }),
            options: options.clone(),
            name: container.to_owned(),
            writer: writer.to_owned(),
        })
    }

    /// How the account is reached.
    #[must_use]
    pub fn options(&self) -> &AccountOptions {
        &self.options
    }

    /// Uses the way to the account whatever its schedule says, until what it gives is dropped.
    #[must_use]
    pub fn ignore_schedule(&self) -> IgnoredSchedule {
        IgnoredSchedule::of(self.client().pace())
    }

    /// How sending goes.
    #[must_use]
    pub fn sending(&self) -> Sending {
        self.client().pace().sending()
    }

    pub(super) fn client(&self) -> &Client {
        &self.uploads.client
    }

    fn run<T>(&self, work: impl Future<Output = failure::Result<T>>) -> Result<T> {
        let done = self.client().wait(work);
        done.map_err(|failure| Error::Lake(format!("{}: {failure}", self.describe())))
    }

    async fn check_account(&self) -> failure::Result<()> {
        let info = self.client().container().get_account_info(None).await?;
        if info.is_hierarchical_namespace_enabled()? == Some(false) {
            return Err(Failure::Answer(
                "the account has no hierarchical namespace, and a lake needs one, as the service asks of a storage account".into(),
            ));
        }
        Ok(())
    }

    async fn create_container(&self) -> failure::Result<bool> {
        match self.client().container().create(None).await {
            Ok(_) => Ok(true),
            Err(error) if error.http_status() == Some(StatusCode::Conflict) => {
                let failure = Failure::from(error);
                if failure.is_code("ContainerAlreadyExists") {
                    return Ok(false);
                }
                Err(failure)
            }
            // Whoever may write into a container need not be allowed to make one.
            Err(error) if error.http_status() == Some(StatusCode::Forbidden) => {
                match self.client().container().exists().await? {
                    true => Ok(false),
                    false => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a small file there in one request.
    pub(super) async fn put(
        &self,
        path: &str,
        bytes: &[u8],
        options: BlockBlobClientUploadOptions<'_>,
    ) -> failure::Result<String> {
        let answer = self
            .client()
            .block_blob(path)
            .upload(RequestContent::from(bytes.to_vec()), Some(options))
            .await
            .map_err(|error| Failure::from(error).at(path))?;
        self.uploads.meter.sent(bytes.len() as u64);
        let etag = answer.etag.map(|etag| etag.to_string());
        etag.ok_or_else(|| Failure::Answer("the account's answer has no ETag".into()).at(path))
    }

    async fn put_file(
        &self,
        path: &str,
        parts: &[Part<'_>],
        content_type: &str,
    ) -> failure::Result<LakeEntry> {
        let etag = match parts {
            [Part::Bytes(bytes)] => {
                self.uploads.known().forget(path)?;
                let options = BlockBlobClientUploadOptions {
                    blob_content_type: Some(content_type.to_owned()),
                    ..BlockBlobClientUploadOptions::default()
                };
                self.put(path, bytes, options).await?
            }
            parts => {
                let local: Vec<LocalPart> = parts.iter().map(LocalPart::from).collect();
                self.uploads.write(path, &local, content_type).await?
            }
        };
        Ok(LakeEntry {
            path: path.to_owned(),
            is_directory: false,
            length: parts.iter().map(part_length).sum(),
            etag,
        })
    }

    pub(super) async fn remove_leftovers(&self) -> failure::Result<()> {
        let leftovers = self.uploads.known().leftovers();
        for path in leftovers {
            self.remove(&path).await?;
        }
        Ok(())
    }

    async fn remove(&self, path: &str) -> failure::Result<()> {
        self.uploads.known().forget(path)?;
        match self.client().blob(path).delete(None).await {
            Err(error) if is_gone(&error) => Ok(()),
            done => done
                .map(drop)
                .map_err(|error| Failure::from(error).at(path)),
        }
    }

    /// Makes `to` a file with the content of `from`, which need not be one that we wrote.
    async fn copy_file(&self, from: &str, to: &str) -> failure::Result<()> {
        if self.uploads.copy(from, to, CSV).await? {
            return Ok(());
        }
        let bytes = self.content(from).await?;
        let bytes = bytes.ok_or_else(|| Failure::Answer(format!("{from} is not there")))?;
        let local = [LocalPart::Bytes(bytes)];
        self.uploads.write(to, &local, CSV).await.map(drop)
    }

    async fn content(&self, path: &str) -> failure::Result<Option<Bytes>> {
        let answer = match self.client().blob(path).download(None).await {
            Err(error) if is_gone(&error) => return Ok(None),
            answer => answer.map_err(|error| Failure::from(error).at(path))?,
        };
        let bytes = answer.body.collect().await;
        Ok(Some(bytes.map_err(|error| Failure::from(error).at(path))?))
    }

    /// Files and folders below a folder, by path.
    async fn below(&self, folder: &str) -> failure::Result<BTreeMap<String, LakeEntry>> {
        let prefix = match folder {
            "" => None,
            folder => Some(format!("{folder}/")),
        };
        let options = BlobContainerClientListBlobsOptions {
            prefix,
            include: Some(vec![ListBlobsIncludeItem::Metadata]),
            maxresults: Some(MAX_LISTED),
            ..BlobContainerClientListBlobsOptions::default()
        };
        let mut pages = match self.client().container().list_blobs(Some(options)) {
            Ok(pages) => pages,
            Err(error) => return Err(error.into()),
        };
        let mut entries = BTreeMap::new();
        while let Some(blob) = pages.try_next().await? {
            let Some(path) = blob.name else { continue };
            let properties = blob.properties.unwrap_or_default();
            let metadata = blob.metadata.unwrap_or_default();
            let marks = metadata.values.unwrap_or_default();
            let is_directory = is_folder(&marks);
            let etag = properties.etag.map(|etag| etag.to_string());
            for (at, _) in path.match_indices('/') {
                let parent = &path[..at];
                if parent.len() > folder.len() {
                    entries
                        .entry(parent.to_owned())
                        .or_insert_with(|| LakeEntry {
                            path: parent.to_owned(),
                            is_directory: true,
                            length: 0,
                            etag: String::new(),
                        });
                }
            }
            let entry = LakeEntry {
                path: path.clone(),
                is_directory,
                length: properties.content_length.unwrap_or_default(),
                etag: etag.unwrap_or_default(),
            };
            entries.insert(path, entry);
        }
        Ok(entries)
    }

    async fn found(&self, path: &str) -> failure::Result<Option<LakeEntry>> {
        let found = match self.client().blob(path).get_properties(None).await {
            Err(error) if is_gone(&error) => return Ok(None),
            found => found.map_err(|error| Failure::from(error).at(path))?,
        };
        Ok(Some(LakeEntry {
            path: path.to_owned(),
            is_directory: is_folder(&found.metadata()?),
            length: found.content_length()?.unwrap_or_default(),
            etag: found
                .etag()?
                .map(|etag| etag.to_string())
                .unwrap_or_default(),
        }))
    }
}

/// A value of metadata, whose names the account may give back in another case.
pub(super) fn mark<'m>(metadata: &'m HashMap<String, String>, name: &str) -> Option<&'m str> {
    let mut found = metadata
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.as_str())
}

fn is_folder(metadata: &HashMap<String, String>) -> bool {
    mark(metadata, FOLDER_MARK).is_some_and(|mark| mark.eq_ignore_ascii_case("true"))
}

pub(super) fn is_gone(error: &azure_core::Error) -> bool {
    error.http_status() == Some(StatusCode::NotFound)
}

fn part_length(part: &Part<'_>) -> u64 {
    match part {
        Part::Bytes(bytes) => bytes.len() as u64,
        Part::Range { length, .. } => *length,
    }
}

impl Lake for AccountLake {
    fn describe(&self) -> String {
        format!(
            "the filesystem {} of the account {}",
            self.name,
            self.options.endpoint.account()
        )
    }

    fn create(&self) -> Result<bool> {
        self.run(async {
            let is_new = self.create_container().await?;
            // Whoever is second learns it before anything is overwritten.
            let pointer = self.pointer(lakestage_engine::MODEL_FILE).await?;
            if pointer.is_none() {
                self.check_account().await?;
            }
            Ok(is_new)
        })
    }

    fn create_directory(&self, path: &str) -> Result<()> {
        self.run(async {
            let options = BlockBlobClientUploadOptions {
                metadata: Some(HashMap::from([(FOLDER_MARK.to_owned(), "true".to_owned())])),
                if_none_match: Some(Etag::from("*")),
                ..BlockBlobClientUploadOptions::default()
            };
            match self.put(path, &[], options).await {
                Err(failure) if failure.status() == Some(StatusCode::Conflict) => Ok(()),
                done => done.map(drop),
            }
        })
    }

    fn write(&self, path: &str, parts: &[Part<'_>], content_type: &str) -> Result<LakeEntry> {
        self.run(self.put_file(path, parts, content_type))
    }

    fn publish(&self, path: &str, bytes: &[u8], content_type: &str) -> Result<LakeEntry> {
        self.run(self.replace_pointer(path, bytes, content_type))
    }

    fn traffic(&self) -> Option<Traffic> {
        Some(self.uploads.meter.read())
    }

    fn cost(&self, parts: &[Part<'_>], exact: bool) -> Result<Option<Cost>> {
        let local: Vec<LocalPart> = parts.iter().map(LocalPart::from).collect();
        let cost = self.uploads.cost(&local, exact);
        cost.map(Some)
            .map_err(|failure| Error::Lake(format!("{}: {failure}", self.describe())))
    }

    fn is_made_of(&self, path: &str, parts: &[Part<'_>]) -> Result<Option<bool>> {
        let local: Vec<LocalPart> = parts.iter().map(LocalPart::from).collect();
        self.run(self.uploads.is_made_of(path, &local))
    }

    fn closed_until(&self) -> Option<i64> {
        let until = self.client().pace().closed_until();
        until.map(|until| until.as_second())
    }

    fn takes_over(&self) -> bool {
        true
    }

    fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.run(self.copy_file(from, to))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.run(async {
            self.copy_file(from, to).await?;
            self.remove(from).await
        })
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.run(self.remove(path))
    }

    fn delete_directory(&self, path: &str) -> Result<()> {
        self.run(async {
            // What is deepest goes first.
            for below in self.below(path).await?.into_keys().rev() {
                self.remove(&below).await?;
            }
            self.remove(path).await
        })
    }

    fn destroy(&self) -> Result<()> {
        self.run(async {
            match self.client().container().delete(None).await {
                Err(error) if is_gone(&error) => Ok(()),
                done => Ok(done.map(drop)?),
            }
        })
    }

    fn list(&self, path: &str) -> Result<Vec<LakeEntry>> {
        let below = self.run(self.below(path))?;
        Ok(below.into_values().collect())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.run(self.content(path))?.map(Vec::from))
    }

    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + Send>>> {
        let answer = self.run(async {
            match self.client().blob(path).download(None).await {
                Err(error) if is_gone(&error) => Ok(None),
                answer => Ok(Some(answer.map_err(|error| Failure::from(error).at(path))?)),
            }
        })?;
        Ok(answer.map(|answer| {
            Box::new(BodyReader {
                runtime: self.client().runtime(),
                body: answer.body,
                chunk: Bytes::new(),
            }) as Box<dyn Read + Send>
        }))
    }

    fn stat(&self, path: &str) -> Result<Option<LakeEntry>> {
        self.run(self.found(path))
    }
}
