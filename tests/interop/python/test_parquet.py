"""Readers of Parquet find every row and every cell of the files that stand beside CSV files, or instead of them."""

import asyncio
import datetime
import decimal
import io

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from cdm.objectmodel import CdmCorpusDefinition
from cdm.storage import ADLSAdapter, LocalAdapter
from pyarrow import fs as arrow_fs

from published import ACCOUNTS, FILESYSTEM, KEY
from test_row_by_row import _adlfs, assert_same


def by_arrow(published, link, path):
    authority = {kind: getattr(published, kind).split("//")[1] for kind in ("blob", "dfs")}
    lake = arrow_fs.AzureFileSystem(
        account_name=ACCOUNTS[link], account_key=KEY,
        blob_storage_authority=authority["blob"], dfs_storage_authority=authority["dfs"],
        blob_storage_scheme="http", dfs_storage_scheme="http",
    )
    return pq.ParquetFile(lake.open_input_file(f"{FILESYSTEM}/{path}")).read().to_pylist()


def by_duckdb(published, link, path):
    connection = duckdb.connect()
    connection.register_filesystem(_adlfs(published, link))
    found = connection.execute(f"SELECT * FROM read_parquet('abfs://{FILESYSTEM}/{path}')")
    # Times with a zone need an extension of DuckDB before Python gets them, and as Arrow they do not.
    return found.to_arrow_table().to_pylist()


def by_polars(published, link, path):
    options = {
        "account_name": ACCOUNTS[link], "account_key": KEY, "endpoint": f"{published.blob}/{ACCOUNTS[link]}",
        "allow_http": "true",
    }
    return pl.scan_parquet(f"az://{FILESYSTEM}/{path}", storage_options=options).collect().to_dicts()


@pytest.fixture(params=["pyarrow", "duckdb", "polars", "spark"])
def read(request, published):
    if request.param != "spark":
        return {"pyarrow": by_arrow, "duckdb": by_duckdb, "polars": by_polars}[request.param]
    spark = request.getfixturevalue("spark")

    def by_spark(published, link, path):
        account = f"{ACCOUNTS[link]}.dfs.core.windows.net"
        settings = spark.sparkContext._jsc.hadoopConfiguration()
        settings.set("fs.azure.abfs.endpoint", published.dfs.split("//")[1])
        settings.set(f"fs.azure.account.key.{account}", KEY)
        frame = spark.read.parquet(f"abfs://{FILESYSTEM}@{account}/{path}")
        return [row.asDict() for row in frame.collect()]

    return by_spark


def _cell(name, kind, value):
    """A value as CSV has it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, decimal.Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime.datetime):
        if name.startswith("Sink"):
            hour = value.strftime("%I").lstrip("0")
            return f"{value.month}/{value.day}/{value.year} {hour}:{value:%M:%S %p}"
        zone = {"createdon": "+00:00", "moment": "Z"}.get(name, "")
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond:06}0{zone}"
    return str(value)


@pytest.mark.parametrize("link", ["both", "parquet"])
def test_every_value_of_every_parquet_file_is_found(published, read, link):
    def location(partition):
        if link == "parquet":
            assert "fileFormatSettings" not in partition
            return partition["location"]
        (beside,) = (a["value"] for a in partition["annotations"] if a["name"] == "lakestage:ParquetLocation")
        return beside

    kinds = {e["name"]: {a["name"]: a["dataType"] for a in e["attributes"]} for e in published.model(link)["entities"]}
    for table, (columns, paths) in published.files(link, location).items():
        found = []
        for path in paths:
            assert path.endswith(".parquet")
            for row in read(published, link, path):
                # A file that is older than a column does not have it.
                row = dict.fromkeys(columns) | row
                found.append({c: _cell(c, kinds[table][c], row[c]) for c in columns})
        # Readers of Parquet count microseconds, which is one digit less than CSV has.
        wanted = [
            row | {c: f"{v[:26]}0{v[27:]}" for c, v in row.items() if c == "moment" and v}
            for row in published.state("classic", table)
        ]
        assert_same(found, wanted, columns, (link, table))
        assert_same(published.state(link, table), wanted if link == "parquet" else published.state("classic", table),
                    columns, ("snapshot read", table))


def test_row_groups_stand_in_the_order_of_ids_with_their_bounds(published):
    columns, paths = published.files("parquet")["long"]
    for path in paths:
        content = _adlfs(published, "parquet").cat(f"{FILESYSTEM}/{path}")
        metadata = pq.ParquetFile(io.BytesIO(content)).metadata
        assert metadata.created_by == "lakestage"
        for group in range(metadata.num_row_groups):
            ids = metadata.row_group(group).column(0)
            assert ids.compression == "ZSTD"
            assert ids.statistics.min <= ids.statistics.max


def test_the_cdm_sdk_loads_a_model_of_parquet_files(published, tmp_path):
    (tmp_path / "model.json").write_bytes(published.read("parquet", "model.json"))
    corpus = CdmCorpusDefinition()
    problems = []
    corpus.set_event_callback(lambda level, message: problems.append((level, message)))
    corpus.storage.mount("local", LocalAdapter(str(tmp_path)))
    host = f"{ACCOUNTS['parquet']}.dfs.core.windows.net"
    corpus.storage.mount("lake", ADLSAdapter(hostname=host, root=f"/{FILESYSTEM}", shared_key=KEY))
    corpus.storage.default_namespace = "local"
    manifest = asyncio.run(corpus.fetch_object_async("local:/model.json"))
    assert manifest is not None, problems
    for declaration in manifest.entities:
        _, paths = published.files("parquet")[declaration.entity_name]
        found = [partition.location.split("/")[-1] for partition in declaration.data_partitions]
        assert found == [path.split("/")[-1] for path in paths]
