"""deltalake (delta-rs): a table built from the lake's rows, in the lake."""

import pyarrow as pa
from azure.storage.blob import BlobServiceClient
from deltalake import DeltaTable, write_deltalake

import expected


def test_a_delta_table_of_the_rows_reads_back(demo):
    service = BlobServiceClient(demo["blobEndpoint"], credential=demo["key"])
    container = service.get_container_client(demo["filesystem"])
    service.create_container("delta-test")
    options = {
        "account_name": demo["account"],
        "account_key": demo["key"],
        "azure_endpoint": demo["blobEndpoint"],
        "allow_http": "true",
    }
    url = f"abfss://delta-test@{demo['account']}.dfs.core.windows.net/contact"
    model = container.download_blob("model.json").readall()
    _, columns, paths = next(entity for entity in expected.entities(model) if entity[0] == "contact")
    found = expected.living(columns, [container.download_blob(path).readall() for path in paths])
    rows = list(found.values())
    half = len(rows) // 2
    write_deltalake(url, pa.Table.from_pylist(rows[:half]), storage_options=options)
    write_deltalake(url, pa.Table.from_pylist(rows[half:]), mode="append", storage_options=options)
    table = DeltaTable(url, storage_options=options)
    assert table.version() == 1
    back = {row["Id"]: row for row in table.to_pyarrow_table().to_pylist()}
    expected.assert_equal("contact", back, expected.rows("contact", demo["input"]["current"]))
    write_deltalake(url, pa.Table.from_pylist(rows[:1]), mode="overwrite", storage_options=options)
    assert DeltaTable(url, storage_options=options).to_pyarrow_table().num_rows == 1
    assert DeltaTable(url, version=1, storage_options=options).to_pyarrow_table().num_rows == len(rows)
