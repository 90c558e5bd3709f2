//! Index tags. They do not change the ETag.

use std::collections::BTreeMap;

use crate::error::{ErrorCode, Result};
use crate::protocol::blob::xml::{XmlText, elements};
use crate::protocol::common::{Call, conditions, guard};
use crate::protocol::query::Query;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::store::condition::ConditionUse;
use crate::store::inode::Inode;

const TAGS_MAX: usize = 10;
const TAGS_MAX_BYTES: u64 = 64 * 1024;

fn checked(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let fits =
        |(name, value): (&String, &String)| (1..=128).contains(&name.len()) && value.len() <= 256;
    match tags.len() <= TAGS_MAX && tags.iter().all(fits) {
        true => Ok(tags),
        false => Err(ErrorCode::InvalidXmlNodeValue.into()),
    }
}

/// `x-ms-tags` of a write: the form of a query.
pub(super) fn of_header(request: &Request) -> Result<BTreeMap<String, String>> {
    let Some(text) = request.header("x-ms-tags")? else {
        return Ok(BTreeMap::new());
    };
    let mut tags = BTreeMap::new();
    for pair in text.split('&') {
        // Names keep their case here.
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = Query::parse(&format!("v={value}"))
            .get("v")
            .unwrap_or("")
            .to_owned();
        tags.insert(crate::protocol::request::decode(name), value);
    }
    checked(tags)
}

pub(super) fn set(call: &mut Call<'_>) -> Result<Reply> {
    let request = call.request;
    let document = call.body.read_all(TAGS_MAX_BYTES)?;
    let mut tags = BTreeMap::new();
    let mut key = String::new();
    for element in elements(&document)? {
        match element.name() {
            "Key" => key.clone_from(&element.text),
            "Value" => {
                tags.insert(std::mem::take(&mut key), element.text);
            }
            _ => {}
        }
    }
    let tags = checked(tags)?;
    let path = request.store_path()?;
    call.store.change(
        &request.account,
        &request.filesystem,
        &path,
        &guard(request)?,
        false,
        |inode: &mut Inode| {
            inode.tags = tags;
            Ok(())
        },
    )?;
    Ok(Reply::new(204))
}

pub(super) fn get(call: &Call<'_>) -> Result<Reply> {
    let request = call.request;
    let inode = call
        .store
        .node_as(
            &request.principal,
            &request.account,
            &request.filesystem,
            &request.store_path()?,
        )?
        .inode;
    conditions(request, "")?.check(Some(inode.version()), ConditionUse::Write)?;
    let mut xml = XmlText::default();
    xml.open("Tags").open("TagSet");
    for (name, value) in &inode.tags {
        xml.open("Tag")
            .text("Key", name)
            .text("Value", value)
            .close("Tag");
    }
    xml.close("TagSet").close("Tags");
    Ok(Reply::new(200).xml(&xml.finish()))
}
