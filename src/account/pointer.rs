//! The file that names all others: replaced in one step, by one writer.

use std::collections::HashMap;

use azure_core::http::Etag;
use azure_storage_blob::models::{
    BlobClientGetPropertiesResultHeaders as _, BlockBlobClientUploadOptions,
};
use lakestage_engine::LakeEntry;

use super::failure::{self, Failure};
use super::known::digest_name;
use super::lake::{AccountLake, is_gone, mark};

/// Who writes `model.json`, in its metadata.
const WRITER_MARK: &str = "lakestage_writer";
/// A digest of `model.json`, in its metadata.
const CONTENT_MARK: &str = "lakestage_content";

impl AccountLake {
    /// Replaces the file that names the others, if it is still as this writer left it.
    pub(super) async fn replace_pointer(
        &self,
        path: &str,
        bytes: &[u8],
        content_type: &str,
    ) -> failure::Result<LakeEntry> {
        let before = self.pointer(path).await?;
        let digest = digest_name(&String::from_utf8_lossy(bytes));
        let mut options = BlockBlobClientUploadOptions {
            blob_content_type: Some(content_type.to_owned()),
            metadata: Some(HashMap::from([
                (WRITER_MARK.to_owned(), self.writer.clone()),
                (CONTENT_MARK.to_owned(), digest.clone()),
            ])),
            ..BlockBlobClientUploadOptions::default()
        };
        match &before {
            Some(found) => options.if_match = Some(Etag::from(found.etag.as_str())),
            None => options.if_none_match = Some(Etag::from("*")),
        }
        let etag = match self.put(path, bytes, options).await {
            Ok(etag) => etag,
            Err(failure) => match self.pointer(path).await? {
                // The answer to an earlier try was lost.
                Some(found) if found.content.as_deref() == Some(&digest) => found.etag,
                Some(found) if before.is_none_or(|b| b.etag != found.etag) => {
                    return Err(another_writer(path));
                }
                _ => return Err(failure),
            },
        };
        self.remove_leftovers().await?;
        Ok(LakeEntry {
            path: path.to_owned(),
            is_directory: false,
            length: bytes.len() as u64,
            etag,
        })
    }

    /// What stands where the pointer goes; an error if another writer put it there.
    pub(super) async fn pointer(&self, path: &str) -> failure::Result<Option<Pointer>> {
        let found = match self.client().blob(path).get_properties(None).await {
            Err(error) if is_gone(&error) => return Ok(None),
            found => found.map_err(|error| Failure::from(error).at(path))?,
        };
        let metadata = found.metadata()?;
        let value = |name: &str| mark(&metadata, name).map(str::to_owned);
        if value(WRITER_MARK).is_some_and(|writer| writer != self.writer) {
            return Err(another_writer(path));
        }
        Ok(Some(Pointer {
            etag: found
                .etag()?
                .map(|etag| etag.to_string())
                .unwrap_or_default(),
            content: value(CONTENT_MARK),
        }))
    }
}

/// What stands there.
pub(super) struct Pointer {
    etag: String,
    content: Option<String>,
}

fn another_writer(path: &str) -> Failure {
    Failure::Answer(format!(
        "another lakestage writes {path}. Two must not publish into one filesystem: unlink one of them"
    ))
}
