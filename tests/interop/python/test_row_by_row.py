"""Each reader finds every row and every cell of every layout, through its own way into the lake.

What they find is compared with the engine's own rows, and these with what was put in.
"""

import asyncio
import collections
import csv
import functools
import io
import json
import os
import pathlib
import socket
import subprocess
import sys

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from cdm.objectmodel import CdmCorpusDefinition
from cdm.storage import ADLSAdapter
from pyarrow import csv as arrow_csv
from pyarrow import fs as arrow_fs

from published import ACCOUNTS, FILESYSTEM, KEY



@pytest.fixture(scope="module", autouse=True)
def local_names(published):
    """The CDM SDK speaks TLS only, and takes the account from the host's name, which not every machine resolves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", published.authority)
        patch.setattr(socket, "getaddrinfo", functools.partial(_local, socket.getaddrinfo))
        yield


def _local(getaddrinfo, host, *arguments, **named):
    is_local = isinstance(host, str) and host.endswith(".localhost")
    return getaddrinfo("127.0.0.1" if is_local else host, *arguments, **named)


def _connection(published, link):
    account = ACCOUNTS[link]
    return (
        f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={KEY};"
        f"BlobEndpoint={published.blob}/{account};"
    )


def _adlfs(published, link):
    return fsspec.filesystem("abfs", connection_string=_connection(published, link), skip_instance_cache=True)


class ByPython:
    """The csv module over adlfs: the plainest reader."""

    def __init__(self, published, link):
        self.lake = _adlfs(published, link)

    def rows(self, path, columns):
        text = self.lake.cat(f"{FILESYSTEM}/{path}").decode("utf-8")
        for record in csv.reader(io.StringIO(text, newline="")):
            yield dict.fromkeys(columns) | {c: cell or None for c, cell in zip(columns, record)}


class ByDuckDb(ByPython):
    def __init__(self, published, link):
        super().__init__(published, link)
        self.connection = duckdb.connect()
        self.connection.register_filesystem(self.lake)

    def rows(self, path, columns):
        names = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
        query = (
            f"SELECT * FROM read_csv('abfs://{FILESYSTEM}/{path}', header=false, delim=',', quote='\"', escape='\"', "
            f"columns={{{names}}}, null_padding=true, parallel=false, auto_detect=false, new_line='\\n')"
        )
        found = self.connection.execute(query)
        for record in found.fetchall():
            yield dict(zip(columns, record))


class ByDuckDbAzure:
    """DuckDB's own driver of the lake."""

    folder = pathlib.Path(sys.prefix) / "duckdb-azure"

    def __init__(self, published, link):
        if not self.folder.is_dir():
            pytest.skip(f"DuckDB 1.5 with its driver is not in {self.folder}; tests/interop/run installs it")
        script = pathlib.Path(__file__).with_name("duckdb_azure.py")
        self.process = subprocess.Popen(
            [sys.executable, script, _connection(published, link)], env=os.environ | {"PYTHONPATH": str(self.folder)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def rows(self, path, columns):
        print(json.dumps({"url": f"az://{FILESYSTEM}/{path}", "columns": columns}), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, f"DuckDB ended with {self.process.wait()}"
        for record in json.loads(answer):
            yield dict(zip(columns, record))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(timeout=60) == 0


class ByPandas:
    def __init__(self, published, link):
        self.options = {"connection_string": _connection(published, link)}

    def rows(self, path, columns):
        # Read as bytes the line ends within a text would become line feeds.
        with fsspec.open(f"abfs://{FILESYSTEM}/{path}", "r", newline="", encoding="utf-8", **self.options) as file:
            frame = pd.read_csv(
                file, names=columns, header=None, dtype=str, keep_default_na=False, na_values=[""], lineterminator="\n",
            )
        for row in frame.to_dict("records"):
            yield {column: None if pd.isna(cell) else cell for column, cell in row.items()}


class ByPolars:
    def __init__(self, published, link):
        account = ACCOUNTS[link]
        self.options = {
            "account_name": account,
            "account_key": KEY,
            "endpoint": f"{published.blob}/{account}",
            "allow_http": "true",
        }

    def rows(self, path, columns):
        schema = dict.fromkeys(columns, pl.String)
        frame = pl.scan_csv(
            f"az://{FILESYSTEM}/{path}", has_header=False, schema=schema, storage_options=self.options,
            missing_columns="insert",
        ).collect()
        yield from frame.iter_rows(named=True)


class ByArrow:
    def __init__(self, published, link):
        authority = {kind: getattr(published, kind).split("//")[1] for kind in ("blob", "dfs")}
        self.lake = arrow_fs.AzureFileSystem(
            account_name=ACCOUNTS[link], account_key=KEY,
            blob_storage_authority=authority["blob"], dfs_storage_authority=authority["dfs"],
            blob_storage_scheme="http", dfs_storage_scheme="http",
        )

    def rows(self, path, columns):
        with self.lake.open_input_stream(f"{FILESYSTEM}/{path}") as file:
            content = file.read()
        # It takes no rows of several widths: those that are shorter are set aside and read by themselves.
        shorter = {}
        yield from self._read(content, columns, shorter)
        for width, rows in shorter.items():
            text = "\n".join(rows).encode("utf-8")
            for row in self._read(text, columns[:width], {}):
                yield dict.fromkeys(columns) | row

    @staticmethod
    def _read(content, columns, shorter):
        def set_aside(row):
            shorter.setdefault(row.actual_columns, []).append(row.text)
            return "skip"

        return arrow_csv.read_csv(
            pa.BufferReader(content),
            read_options=arrow_csv.ReadOptions(column_names=columns, block_size=32 << 20, use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True, double_quote=True, invalid_row_handler=set_aside,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={column: pa.string() for column in columns}, null_values=[""],
                strings_can_be_null=True, quoted_strings_can_be_null=False,
            ),
        ).to_pylist()


class ByCdm:
    """The CDM SDK's own adapter of the lake, over TLS, which it asks for."""

    def __init__(self, published, link):
        host = published.blob.split("//")[1].replace("127.0.0.1", f"{ACCOUNTS[link]}.dfs.localhost")
        self.adapter = ADLSAdapter(hostname=host, root=f"/{FILESYSTEM}", shared_key=KEY)
        self.adapter.number_of_retries = 0
        self.corpus = CdmCorpusDefinition()
        self.corpus.storage.mount("lake", self.adapter)
        self.corpus.storage.default_namespace = "lake"

    def rows(self, path, columns):
        text = asyncio.run(self.adapter.read_async(f"/{path}"))
        for record in csv.reader(io.StringIO(text, newline="")):
            yield dict.fromkeys(columns) | {c: cell or None for c, cell in zip(columns, record)}


class BySpark:
    """PySpark, with Hadoop's driver of the lake."""

    def __init__(self, published, link, spark):
        self.account = f"{ACCOUNTS[link]}.dfs.core.windows.net"
        self.session = spark
        settings = spark.sparkContext._jsc.hadoopConfiguration()
        settings.set("fs.azure.abfs.endpoint", published.dfs.split("//")[1])
        settings.set(f"fs.azure.account.key.{self.account}", KEY)

    def rows(self, path, columns):
        frame = self.session.read.csv(
            f"abfs://{FILESYSTEM}@{self.account}/{path}",
            schema=", ".join(f"`{column}` STRING" for column in columns),
            multiLine=True, quote='"', escape='"', lineSep="\n", maxCharsPerColumn=-1, maxColumns=5000,
        )
        for row in frame.collect():
            yield row.asDict()


READERS = {
    "csv": ByPython, "duckdb": ByDuckDb, "pandas": ByPandas, "polars": ByPolars, "pyarrow": ByArrow, "cdm": ByCdm,
    "duckdb-azure": ByDuckDbAzure,
}


@pytest.fixture(params=[*READERS, "spark"])
def reader(request, published):
    """Makes the reader of a link."""
    made = []

    def make(link):
        if request.param == "spark":
            return BySpark(published, link, request.getfixturevalue("spark"))
        made.append(READERS[request.param](published, link))
        return made[-1]

    yield make
    for one in made:
        getattr(one, "close", lambda: None)()


def _counted(rows, columns):
    return collections.Counter(tuple(row[column] for column in columns) for row in rows)


def assert_same(found, wanted, columns, what):
    """Compares row by row and cell by cell; rows may stand several times in append-only files."""
    found, wanted = _counted(found, columns), _counted(wanted, columns)
    extra, missing = found - wanted, wanted - found
    for got, should in zip(sorted(extra, key=str), sorted(missing, key=str)):
        for column, cell, right in zip(columns, got, should):
            assert cell == right, (*what, should[0], column)
    assert not extra and not missing, (*what, extra, missing)


def test_the_engines_rows_are_what_was_put_in(published):
    for table, rows in published.rows.tables.items():
        found = {row["Id"]: row for row in published.state("classic", table)}
        if table == "undated":
            found = _living(published.state("classic", table))
        assert found.keys() == rows.keys()
        for key, row in rows.items():
            for column, cell in row.items():
                assert found[key][column] == cell, (table, key, column)


def _living(rows):
    newest = {}
    for row in rows:
        known = newest.get(row["Id"])
        if known is None or int(known["versionnumber"]) < int(row["versionnumber"]):
            newest[row["Id"]] = row
    return {key: row for key, row in newest.items() if row["IsDelete"] is None}


@pytest.mark.parametrize("link", ["classic", "appended"])
def test_every_cell_of_every_snapshot_file_is_found(published, reader, link):
    by = reader(link)
    for table, (columns, paths) in published.files(link).items():
        assert len(paths) == len(set(paths)) > 0
        assert (table == "long") == any("/2024_001_" in path for path in paths)
        found = [row for path in paths for row in by.rows(path, columns)]
        assert_same(found, published.state(link, table), columns, (link, table))


def test_every_cell_of_every_folder_is_found(published, reader):
    by = reader("folders")
    for table, (columns, paths) in published.files("folders").items():
        folders = {path.split("/")[0] for path in paths}
        assert len(folders) == 2
        assert (table == "long") == any(path.endswith("/2024_001.csv") for path in paths)
        found = [row for path in paths for row in by.rows(path, columns)]
        # Each file has rows of one sort.
        for path in paths:
            kinds = {row["IsDelete"] for row in by.rows(path, columns)}
            assert kinds == ({"True"} if path.endswith("/1.csv") else {None})
        # Both links were given the same changes between the same publications, so they have the same rows.
        assert_same(found, published.state("appended", table), columns, ("folders", table))
