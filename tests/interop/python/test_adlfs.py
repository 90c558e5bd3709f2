"""adlfs, with pandas and DuckDB on top."""

import adlfs
import duckdb
import pandas as pd
import pytest

import expected


@pytest.fixture
def lake(demo):
    return adlfs.AzureBlobFileSystem(account_name=demo["account"], connection_string=demo["connection_string"])


def test_it_reads_what_was_put_in(demo, lake):
    def read(path):
        return lake.cat(f"{demo['filesystem']}/{path}")

    expected.assert_lake(read, read("model.json"), demo["input"]["current"])


def test_pandas_reads_what_was_put_in(demo, lake):
    for table, columns, paths in expected.entities(lake.cat(f"{demo['filesystem']}/model.json")):
        if "IsDelete" in columns:
            continue
        parts = [
            pd.read_csv(lake.open(f"{demo['filesystem']}/{path}"), names=columns, dtype=str, keep_default_na=False)
            for path in paths
        ]
        frame = pd.concat(parts)
        found = {row["Id"]: row for row in frame.to_dict("records")}
        wanted = expected.rows(table, demo["input"]["current"])
        # pandas reads every line end within a cell as it is only from a file in text mode without translation.
        plain = {key: {c: v.replace("\r\n", "\n") for c, v in row.items()} for key, row in wanted.items()}
        for row in found.values():
            for column, value in row.items():
                row[column] = value.replace("\r\n", "\n")
        expected.assert_equal(table, found, plain)


def test_duckdb_counts_what_was_put_in(demo, lake):
    connection = duckdb.connect()
    connection.register_filesystem(lake)
    for table, columns, paths in expected.entities(lake.cat(f"{demo['filesystem']}/model.json")):
        if "IsDelete" in columns:
            continue
        files = [f"abfs://{demo['filesystem']}/{path}" for path in paths]
        names = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
        query = (
            f"SELECT count(*), count(DISTINCT Id) FROM read_csv({files}, header=false, quote='\"', escape='\"', "
            f"delim=',', columns={{{names}}}, max_line_size=8000000)"
        )
        count = len(expected.rows(table, demo["input"]["current"]))
        assert connection.execute(query).fetchone() == (count, count)


def test_it_writes_and_deletes(lake):
    lake.mkdir("adlfs-test")
    lake.pipe("adlfs-test/d/a.txt", b"hi")
    assert lake.find("adlfs-test") == ["adlfs-test/d/a.txt"]
    assert lake.cat("adlfs-test/d/a.txt") == b"hi"
    lake.rm("adlfs-test/d", recursive=True)
    assert lake.find("adlfs-test") == []
