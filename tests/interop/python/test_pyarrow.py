"""pyarrow's AzureFileSystem."""

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest

import expected


@pytest.fixture
def lake(demo):
    return fs.AzureFileSystem(
        account_name=demo["account"],
        account_key=demo["key"],
        blob_storage_authority=demo["authority"]["blob"],
        dfs_storage_authority=demo["authority"]["dfs"],
        blob_storage_scheme="http",
        dfs_storage_scheme="http",
    )


def test_it_reads_what_was_put_in(demo, lake):
    def read(path):
        with lake.open_input_stream(f"{demo['filesystem']}/{path}") as file:
            return file.read()

    expected.assert_lake(read, read("model.json"), demo["input"]["current"])


def test_it_writes_moves_and_deletes(lake):
    lake.create_dir("arrow-test")
    lake.create_dir("arrow-test/x/y", recursive=True)
    pq.write_table(pa.table({"a": list(range(1000))}), "arrow-test/x/y/t.parquet", filesystem=lake)
    names = [info.path for info in lake.get_file_info(fs.FileSelector("arrow-test", recursive=True))]
    assert names == ["arrow-test/x", "arrow-test/x/y", "arrow-test/x/y/t.parquet"]
    assert pq.read_table("arrow-test/x/y/t.parquet", filesystem=lake).num_rows == 1000
    lake.delete_dir("arrow-test/x")
    assert lake.get_file_info("arrow-test/x").type == fs.FileType.NotFound
