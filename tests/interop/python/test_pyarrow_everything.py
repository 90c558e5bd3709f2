"""What pyarrow's AzureFileSystem does beyond reading."""

import os
import uuid

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as fs
import pytest
from azure.storage.blob import BlobServiceClient


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


@pytest.fixture
def root(lake):
    made = f"py-{uuid.uuid4().hex}"
    lake.create_dir(made)
    yield made
    lake.delete_dir(made)


def write(lake, path, content=b"x"):
    with lake.open_output_stream(path) as file:
        file.write(content)


def read(lake, path):
    with lake.open_input_stream(path) as file:
        return file.read()


def test_files_are_written_described_and_deleted(lake, root):
    lake.create_dir(f"{root}/d", recursive=True)
    write(lake, f"{root}/d/f", b"0123456789")
    found = lake.get_file_info(f"{root}/d/f")
    assert (found.type, found.size, found.base_name) == (fs.FileType.File, 10, "f")
    with lake.open_input_file(f"{root}/d/f") as file:
        assert file.read_at(3, 2) == b"234"
        file.seek(8)
        assert file.read() == b"89"
    lake.delete_file(f"{root}/d/f")
    assert lake.get_file_info(f"{root}/d/f").type == fs.FileType.NotFound
    with pytest.raises(FileNotFoundError):
        read(lake, f"{root}/d/f")


def test_trees_are_listed(lake, root):
    for path in ("a/1", "a/b/2", "c"):
        lake.create_dir(f"{root}/{path}".rsplit("/", 1)[0], recursive=True)
        write(lake, f"{root}/{path}")
    flat = {i.path: i.type for i in lake.get_file_info(fs.FileSelector(root))}
    assert flat == {f"{root}/a": fs.FileType.Directory, f"{root}/c": fs.FileType.File}
    deep = sorted(i.path for i in lake.get_file_info(fs.FileSelector(root, recursive=True)))
    assert deep == [f"{root}/{path}" for path in ("a", "a/1", "a/b", "a/b/2", "c")]
    assert lake.get_file_info(fs.FileSelector(f"{root}/missing", allow_not_found=True)) == []
    with pytest.raises(FileNotFoundError):
        lake.get_file_info(fs.FileSelector(f"{root}/missing"))


def test_files_and_directories_move(lake, root):
    lake.create_dir(f"{root}/a/b", recursive=True)
    write(lake, f"{root}/a/b/f", b"deep")
    lake.move(f"{root}/a", f"{root}/z")
    assert read(lake, f"{root}/z/b/f") == b"deep"
    write(lake, f"{root}/other", b"other")
    lake.move(f"{root}/other", f"{root}/z/b/f")
    assert read(lake, f"{root}/z/b/f") == b"other"
    with pytest.raises(FileNotFoundError):
        lake.move(f"{root}/missing", f"{root}/x")
    with pytest.raises(OSError):
        lake.move(f"{root}/z", f"{root}/no/such/parent")


def test_a_directory_does_not_replace_one_with_something_in_it(lake, root):
    for name in ("one", "two"):
        lake.create_dir(f"{root}/{name}")
        write(lake, f"{root}/{name}/f", name.encode())
    with pytest.raises(OSError):
        lake.move(f"{root}/one", f"{root}/two")
    assert read(lake, f"{root}/two/f") == b"two"


def test_a_file_is_copied(lake, root):
    write(lake, f"{root}/f", b"content")
    lake.copy_file(f"{root}/f", f"{root}/g")
    assert read(lake, f"{root}/g") == b"content"


def test_the_contents_of_a_directory_go_and_it_stays(lake, root):
    lake.create_dir(f"{root}/d/e", recursive=True)
    write(lake, f"{root}/d/e/f")
    lake.delete_dir_contents(f"{root}/d")
    assert lake.get_file_info(fs.FileSelector(f"{root}/d", allow_not_found=True)) == []
    assert lake.get_file_info(f"{root}/d").type == fs.FileType.Directory


def test_a_large_file_is_written_in_blocks(lake, root):
    content = os.urandom(30 * 1024 * 1024 + 77)
    write(lake, f"{root}/large", content)
    assert read(lake, f"{root}/large") == content


def test_metadata_is_kept(demo, lake, root):
    with lake.open_output_stream(f"{root}/f", metadata={"purpose": "tests"}) as file:
        file.write(b"x")
    # pyarrow sends metadata and does not read it back.
    blob = BlobServiceClient(demo["blobEndpoint"], credential=demo["key"]).get_blob_client(root, "f")
    assert blob.get_blob_properties().metadata == {"purpose": "tests"}


@pytest.mark.parametrize("name", ["with space", "plus+sign", "amp&equals=", "ümläut ß", "日本語", "at@x"])
def test_names_with_everything_in_them(lake, root, name):
    lake.create_dir(f"{root}/{name}")
    write(lake, f"{root}/{name}/{name}", b"x")
    assert read(lake, f"{root}/{name}/{name}") == b"x"
    assert [i.path for i in lake.get_file_info(fs.FileSelector(f"{root}/{name}"))] == [f"{root}/{name}/{name}"]


def test_a_partitioned_dataset_reads_back(lake, root):
    table = pa.table({"year": [2024, 2024, 2025], "value": [1, 2, 3]})
    ds.write_dataset(table, f"{root}/set", format="parquet", partitioning=["year"], filesystem=lake)
    back = ds.dataset(f"{root}/set", format="parquet", partitioning=["year"], filesystem=lake)
    assert sorted(back.to_table().to_pylist(), key=lambda row: row["value"]) == table.to_pylist()
    assert back.to_table(filter=ds.field("year") == 2025)["value"].to_pylist() == [3]
