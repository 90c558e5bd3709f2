"""azure-storage-file-datalake."""

import pytest
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.storage.filedatalake import DataLakeServiceClient

import expected


@pytest.fixture
def service(demo):
    return DataLakeServiceClient(demo["dfsEndpoint"], credential=demo["key"])


def test_it_reads_what_was_put_in(demo, service):
    lake = service.get_file_system_client(demo["filesystem"])

    def read(path):
        return lake.get_file_client(path).download_file().readall()

    expected.assert_lake(read, read("model.json"), demo["input"]["current"])


def test_the_files_of_t1_still_hold_t1(demo, service):
    lake = service.get_file_system_client(demo["filesystem"])
    t1, t2 = str(demo["snapshots"]["t1"]), str(demo["snapshots"]["t2"])
    model = lake.get_file_client("model.json").download_file().readall()
    for table, columns, paths in expected.entities(model):
        names = [p.name for p in lake.get_paths(f"{table}/Snapshot", recursive=True)]
        old = [name for name in names if name.endswith(f"_{t1}.csv")]
        files = [lake.get_file_client(name).download_file().readall() for name in old]
        expected.assert_equal(table, expected.living(columns, files), expected.rows(table, demo["input"]["initial"]))
        if table == "contact":
            assert sorted(paths) == sorted(old)
        else:
            assert any(path.endswith(f"_{t2}.csv") for path in paths)


def test_it_writes_renames_and_deletes(service):
    lake = service.create_file_system("datalake-test")
    file = lake.create_file("a/b/c.txt")
    file.append_data(b"world", 6)
    file.append_data(b"hello ", 0)
    file.flush_data(11)
    assert file.download_file().readall() == b"hello world"
    lake.get_directory_client("a").rename_directory("datalake-test/z")
    assert [p.name for p in lake.get_paths()] == ["z", "z/b", "z/b/c.txt"]
    large = bytes(range(256)) * 40_000
    lake.get_file_client("large").upload_data(large, overwrite=True)
    assert lake.get_file_client("large").download_file().readall() == large
    lake.delete_directory("z")
    with pytest.raises(ResourceNotFoundError) as missing:
        lake.get_file_client("z/b/c.txt").get_file_properties()
    assert missing.value.status_code == 404
    service.delete_file_system("datalake-test")


def test_a_wrong_key_is_refused(demo):
    service = DataLakeServiceClient(demo["dfsEndpoint"], credential="c2VjcmV0")
    with pytest.raises(ClientAuthenticationError) as refused:
        list(service.list_file_systems())
    assert refused.value.error_code == "AuthenticationFailed"
