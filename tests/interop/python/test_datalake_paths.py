"""Filesystems, directories, lists, renames and access by azure-storage-file-datalake, blocking and asynchronous."""

import datetime
import uuid

import pytest
from azure.storage.filedatalake import (
    AccountSasPermissions,
    DataLakeServiceClient,
    DirectorySasPermissions,
    FileSystemSasPermissions,
    ResourceTypes,
    generate_account_sas,
    generate_directory_sas,
    generate_file_system_sas,
)

from refusal import refused

ZOE = "11111111-2222-3333-4444-555555555555"


def names(paths):
    return [path.name for path in paths]


def write(lake, path, content=b"abc"):
    file = lake.get_file_client(path)
    file.upload_data(content, overwrite=True)
    return file


def read(lake, path):
    return lake.get_file_client(path).download_file().readall()


def test_filesystems_are_made_described_listed_and_deleted(service):
    prefix = f"py-{uuid.uuid4().hex[:12]}"
    made = service.create_file_system(f"{prefix}-a", metadata={"purpose": "tests"})
    service.create_file_system(f"{prefix}-b")
    with refused(409, "ContainerAlreadyExists"):
        service.create_file_system(f"{prefix}-a")
    assert made.get_file_system_properties().metadata == {"purpose": "tests"}
    listed = list(service.list_file_systems(name_starts_with=prefix, include_metadata=True, results_per_page=1))
    assert names(listed) == [f"{prefix}-a", f"{prefix}-b"]
    assert listed[0].metadata == {"purpose": "tests"}
    lease = made.acquire_lease()
    with refused(412, "LeaseIdMissing"):
        service.delete_file_system(f"{prefix}-a")
    service.delete_file_system(f"{prefix}-a", lease=lease)
    service.delete_file_system(f"{prefix}-b")
    assert not made.exists()
    with refused(404, "FilesystemNotFound"):
        made.create_file("f")


def test_a_directory_is_made_described_and_deleted(lake):
    directory = lake.create_directory("a/b", metadata={"colour": "green"})
    directory.create_file("f")
    directory.create_sub_directory("c")
    assert directory.get_directory_properties().metadata["colour"] == "green"
    assert names(lake.get_paths()) == ["a", "a/b", "a/b/c", "a/b/f"]
    assert names(lake.get_paths(path="a", recursive=False)) == ["a/b"]
    directory.delete_directory()
    assert names(lake.get_paths()) == ["a"]


def test_a_file_and_a_directory_do_not_replace_each_other(lake):
    write(lake, "file")
    lake.create_directory("directory")
    with refused(409, "PathConflict"):
        lake.create_directory("file")
    with refused(409, "PathConflict"):
        lake.create_file("directory")
    with refused(409, "PathConflict"):
        lake.create_file("file/below")


def test_paths_are_listed_in_pages_and_with_their_properties(lake):
    for i in range(12):
        write(lake, f"f{i:02}")
    pages = [list(page) for page in lake.get_paths(max_results=6).by_page()]
    assert [len(page) for page in pages] == [6, 6]
    entry = pages[0][0]
    assert (entry.name, entry.content_length, entry.is_directory) == ("f00", 3, False)
    assert (entry.owner, entry.group, entry.permissions) == ("$superuser", "$superuser", "rw-r-----")
    assert entry.etag == lake.get_file_client("f00").get_file_properties().etag.strip('"')
    with refused(404, "PathNotFound"):
        list(lake.get_paths(path="missing"))


def test_a_list_starts_from_a_name(lake):
    for i in range(6):
        write(lake, f"dir{i}/f")
    wanted = [name for i in (3, 4, 5) for name in (f"dir{i}", f"dir{i}/f")]
    assert names(lake.get_paths(start_from="dir3")) == wanted


def test_paths_move_within_and_across_filesystems(service, lake):
    write(lake, "old/a/b", b"deep")
    before = lake.get_file_client("old/a/b").get_file_properties()
    lake.get_directory_client("old").rename_directory(f"{lake.file_system_name}/new")
    after = lake.get_file_client("new/a/b").get_file_properties()
    assert (after.etag, after.last_modified) == (before.etag, before.last_modified)
    other = service.create_file_system(f"py-{uuid.uuid4().hex}")
    lake.get_file_client("new/a/b").rename_file(f"{other.file_system_name}/across")
    assert read(other, "across") == b"deep"
    other.delete_file_system()


def test_renames_that_cannot_be_are_refused(lake):
    name = lake.file_system_name
    file = write(lake, "f")
    write(lake, "full/g")
    directory = lake.create_directory("d")
    with refused(404, "SourcePathNotFound"):
        lake.get_file_client("missing").rename_file(f"{name}/g")
    with refused(404, "RenameDestinationParentPathNotFound"):
        file.rename_file(f"{name}/no/parent/f")
    with refused(409, "InvalidRenameSourcePath"):
        directory.rename_directory(f"{name}/d/below")
    with refused(409, "InvalidSourceOrDestinationResourceType"):
        directory.rename_directory(f"{name}/f")
    with refused(409, "PathAlreadyExists"):
        directory.rename_directory(f"{name}/full")
    file.rename_file(f"{name}/full/g")
    assert names(lake.get_paths()) == ["d", "full", "full/g"]


@pytest.mark.parametrize(
    "name",
    [
        "with space", "100%", "plus+sign", "quote'and\"double", "semi;colon,comma", "hash#", "amp&equals=",
        "at@colon:", "brackets[](){}<>", "ümläut ß", "日本語", "emoji 🚀", "e\u0301", ".hidden",
    ],
)
def test_names_with_everything_in_them(lake, name):
    path = f"{name}/{name}"
    write(lake, path, name.encode())
    assert read(lake, path) == name.encode()
    assert names(lake.get_paths()) == [name, path]
    assert names(lake.get_paths(path=name)) == [path]
    lake.get_directory_client(name).rename_directory(f"{lake.file_system_name}/moved")
    lake.get_directory_client("moved").rename_directory(f"{lake.file_system_name}/{name}")
    assert names(lake.get_paths()) == [name, path]
    lake.delete_directory(name)
    assert names(lake.get_paths()) == []


def test_permissions_and_lists_are_set(lake):
    file = write(lake, "f")
    file.set_access_control(permissions="rwxr-x--t", owner=ZOE, group="staff")
    found = file.get_access_control()
    assert (found["permissions"], found["owner"], found["group"]) == ("rwxr-x--t", ZOE, "staff")
    file.set_access_control(acl=f"user::rwx,user:{ZOE}:rwx,group::r--,other::---")
    assert file.get_access_control()["acl"] == f"user::rwx,user:{ZOE}:rwx,group::r--,mask::rwx,other::---"


def test_a_tree_takes_changes_in_batches(lake):
    for path in ("d/a", "d/b", "d/e/c", "d/e/f/g"):
        write(lake, path)
    directory = lake.get_directory_client("d")
    changed = directory.update_access_control_recursive(f"user:{ZOE}:r-x", batch_size=2)
    counters = changed.counters
    assert (counters.directories_successful, counters.files_successful, counters.failure_count) == (3, 4, 0)
    first = directory.update_access_control_recursive(f"user:{ZOE}:rwx", batch_size=3, max_batches=1)
    assert first.counters.directories_successful + first.counters.files_successful == 3
    rest = directory.update_access_control_recursive(f"user:{ZOE}:rwx", continuation_token=first.continuation)
    assert rest.counters.directories_successful + rest.counters.files_successful == 4
    deep = lake.get_file_client("d/e/f/g")
    assert ZOE in deep.get_access_control()["acl"]
    directory.remove_access_control_recursive(f"user:{ZOE}")
    assert ZOE not in deep.get_access_control()["acl"]
    directory.set_access_control_recursive("user::rw-,group::---,other::---")
    assert deep.get_access_control()["acl"] == "user::rw-,group::---,other::---"


def test_the_root_has_an_access_list(lake):
    root = lake.get_directory_client("/")
    root.set_access_control(acl="user::rwx,group::rwx,other::---")
    assert root.get_access_control()["acl"] == "user::rwx,group::rwx,other::---"


def test_deleted_paths_come_back(lake):
    write(lake, "f").delete_file()
    deleted = list(lake.list_deleted_paths())
    assert names(deleted) == ["f"]


def expiry():
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)


def test_signatures_open_what_they_permit(demo, lake):
    write(lake, "in/f")
    write(lake, "out/f")
    account, key, name = demo["account"], demo["key"], lake.file_system_name

    def opened(signature):
        return DataLakeServiceClient(demo["dfsEndpoint"], credential=signature, retry_total=0).get_file_system_client(name)

    reader = opened(generate_file_system_sas(account, name, key, FileSystemSasPermissions(read=True, list=True), expiry()))
    assert names(reader.get_paths(recursive=False)) == ["in", "out"]
    with refused(403, "AuthorizationPermissionMismatch"):
        reader.create_file("g")
    signature = generate_directory_sas(account, name, "in", key, DirectorySasPermissions(read=True), expiry())
    assert read(opened(signature), "in/f") == b"abc"
    with refused(403, "AuthenticationFailed"):
        read(opened(signature), "out/f")
    whole = generate_account_sas(
        account, key, ResourceTypes(service=True, file_system=True, object=True), AccountSasPermissions(read=True), expiry()
    )
    assert read(opened(whole), "in/f") == b"abc"
