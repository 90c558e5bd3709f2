"""obstore and polars, which stand on object_store."""

import uuid

import obstore
import polars as pl
import pytest
from azure.storage.blob import BlobServiceClient
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import AzureStore


@pytest.fixture
def container(demo):
    service = BlobServiceClient(demo["blobEndpoint"], credential=demo["key"])
    name = f"py-{uuid.uuid4().hex}"
    service.create_container(name)
    yield name
    service.delete_container(name)


@pytest.fixture
def options(demo):
    return {
        "account_name": demo["account"],
        "account_key": demo["key"],
        "endpoint": demo["blobEndpoint"],
        "allow_http": "true",
    }


@pytest.fixture
def store(demo, container):
    return AzureStore(
        container,
        account_name=demo["account"],
        account_key=demo["key"],
        endpoint=demo["blobEndpoint"],
        client_options={"allow_http": True},
    )


def test_objects_are_put_read_and_deleted(store):
    obstore.put(store, "d/f", b"0123456789")
    assert obstore.head(store, "d/f")["size"] == 10
    assert bytes(obstore.get(store, "d/f").bytes()) == b"0123456789"
    assert bytes(obstore.get_range(store, "d/f", start=2, end=5)) == b"234"
    obstore.delete(store, "d/f")
    with pytest.raises(FileNotFoundError):
        obstore.head(store, "d/f")


def test_a_lost_race_is_noticed(store):
    first = obstore.put(store, "f", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "f", b"2", mode="create")
    obstore.put(store, "f", b"3", mode={"e_tag": first["e_tag"]})
    with pytest.raises(PreconditionError):
        obstore.put(store, "f", b"4", mode={"e_tag": first["e_tag"]})
    assert bytes(obstore.get(store, "f").bytes()) == b"3"


def test_a_large_object_goes_up_in_parts(store):
    content = bytes(range(256)) * 100_000
    obstore.put(store, "large", content, use_multipart=True, chunk_size=5 * 1024 * 1024)
    assert bytes(obstore.get(store, "large").bytes()) == content


def test_objects_are_listed_copied_and_renamed(store):
    for path in ("a/1", "a/2", "a/b/3", "c"):
        obstore.put(store, path, b"x")
    listed = [item["path"] for page in obstore.list(store) for item in page]
    assert sorted(listed) == ["a/1", "a/2", "a/b/3", "c"]
    level = obstore.list_with_delimiter(store, "a")
    assert level["common_prefixes"] == ["a/b"]
    obstore.copy(store, "c", "copy")
    obstore.rename(store, "copy", "moved")
    assert obstore.head(store, "moved")["size"] == 1
    obstore.delete(store, ["a/1", "a/2", "a/b/3", "c", "moved"])
    assert [item for page in obstore.list(store) for item in page] == []


def test_polars_writes_and_scans(container, options):
    frame = pl.DataFrame({"id": range(1000), "name": [f"row {i}" for i in range(1000)]})
    for part in range(3):
        frame.filter(pl.col("id") % 3 == part).write_parquet(f"az://{container}/set/{part}.parquet", storage_options=options)
    scan = pl.scan_parquet(f"az://{container}/set/*.parquet", storage_options=options)
    assert scan.sort("id").collect().equals(frame)
    assert scan.filter(pl.col("id") == 777).collect()["name"].to_list() == ["row 777"]


def test_polars_reads_the_tables_of_the_lake(demo, options):
    import expected

    service = BlobServiceClient(demo["blobEndpoint"], credential=demo["key"])
    model = service.get_blob_client(demo["filesystem"], "model.json").download_blob().readall()
    table, columns, paths = next(e for e in expected.entities(model) if e[0] == "account")
    files = [f"az://{demo['filesystem']}/{path}" for path in paths]
    frame = pl.scan_csv(
        files, has_header=False, new_columns=columns, infer_schema=False, storage_options=options
    ).collect()
    assert set(frame["Id"]) == set(expected.rows(table, demo["input"]["current"]))
