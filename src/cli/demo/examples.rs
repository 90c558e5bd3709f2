//! What a person would paste next. The tests run these as they are printed.

use lakestage_emulator::DEFAULT_ACCOUNT_KEY;
use serde::Serialize;

/// What the examples need to know.
pub(super) struct Place<'a> {
    pub account: &'a str,
    pub blob_endpoint: &'a str,
    pub dfs_endpoint: &'a str,
    pub filesystem: &'a str,
    /// A shared access signature that may read.
    pub sas: &'a str,
}

/// Programs, as text.
#[derive(Debug, Serialize)]
pub(super) struct Examples {
    pub python: String,
    pub pandas: String,
    pub curl: String,
}

impl Examples {
    pub(super) fn of(place: &Place<'_>) -> Self {
        Examples {
            python: python(place),
            pandas: pandas(place),
            curl: format!(
                "curl '{}/{}/model.json?{}'",
                place.blob_endpoint, place.filesystem, place.sas
            ),
        }
    }
}

fn python(place: &Place<'_>) -> String {
    let (endpoint, filesystem) = (place.dfs_endpoint, place.filesystem);
    format!(
        r#"# pip install azure-storage-file-datalake
import json
from azure.storage.filedatalake import DataLakeServiceClient

service = DataLakeServiceClient("{endpoint}", credential="{DEFAULT_ACCOUNT_KEY}")
lake = service.get_file_system_client("{filesystem}")
model = json.loads(lake.get_file_client("model.json").download_file().readall())
for entity in model["entities"]:
    for partition in entity["partitions"]:
        path = partition["location"].split("{filesystem}/", 1)[1]
        size = lake.get_file_client(path).get_file_properties().size
        print(entity["name"], partition["name"], size, "bytes")
"#
    )
}

fn pandas(place: &Place<'_>) -> String {
    let (account, endpoint, filesystem) = (place.account, place.blob_endpoint, place.filesystem);
    format!(
        r#"# pip install adlfs pandas
import json
import adlfs
import pandas as pd

lake = adlfs.AzureBlobFileSystem(
    account_name="{account}",
    connection_string="DefaultEndpointsProtocol=http;AccountName={account};"
    "AccountKey={DEFAULT_ACCOUNT_KEY};BlobEndpoint={endpoint};",
)
model = json.loads(lake.cat("{filesystem}/model.json"))
account = next(e for e in model["entities"] if e["name"] == "account")
columns = [a["name"] for a in account["attributes"]]
parts = [
    pd.read_csv(
        lake.open("{filesystem}/" + p["location"].split("{filesystem}/", 1)[1]),
        names=columns, dtype=str, keep_default_na=False,
    )
    for p in account["partitions"]
]
accounts = pd.concat(parts)
print(accounts[["Id", "name", "createdon"]].head())
print(len(accounts), "accounts")
"#
    )
}
