"""A lake that is encrypted by a passphrase, and keys that the SDK brings with its requests."""

import base64
import hashlib
import json
import os
import subprocess

import azure.storage.blob as blob
import azure.storage.filedatalake as datalake
import pytest

from refusal import refused

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PROGRAM = os.environ.get("LAKESTAGE_BIN")
CONTENT = bytes(range(256)) * 5_000
NEEDS_KEY = "BlobUsesCustomerSpecifiedEncryption"
WRONG_KEY = "BlobCustomerSpecifiedEncryptionMismatch"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A server of an encrypted lake that speaks TLS, and where its data stands."""
    assert PROGRAM, "set LAKESTAGE_BIN to the lakestage command that is to be tested"
    data = tmp_path_factory.mktemp("sealed") / "data"
    command = [PROGRAM, "--json", "--data", str(data), "--encrypt", "passphrase", "serve", "--sync", "off"]
    command += ["--self-signed", "--flat", "flataccount1", "--account", f"flataccount1={KEY}"]
    command += ["--blob-port", "0", "--dfs-port", "0"]
    environment = {**os.environ, "LAKESTAGE_PASSPHRASE": "correct horse battery staple"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    serving = json.loads(process.stdout.readline())
    authority = serving["certificateAuthority"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", authority)
        yield serving, data
    process.terminate()
    assert process.wait(timeout=60) == 0


def keys(module):
    """Two keys, in the form of an SDK."""
    made = []
    for byte in (1, 2):
        key = bytes([byte]) * 32
        hashed = base64.b64encode(hashlib.sha256(key).digest()).decode()
        encoded = base64.b64encode(key).decode()
        make = getattr(module, "CustomerProvidedEncryptionKey", None) or module.CpkInfo
        made.append(make(encoded, hashed))
    return made


def test_files_by_dfs_take_keys_and_are_read_with_them_only(sealed):
    serving, _ = sealed
    own, other = keys(datalake)
    endpoint = serving["dfsEndpoint"].replace("http://", "https://")
    service = datalake.DataLakeServiceClient(endpoint, credential=KEY, retry_total=0)
    filesystem = service.create_file_system("keys")
    file = filesystem.get_file_client("dir/file")
    file.create_file(cpk=own)
    file.append_data(CONTENT[:700_000], 0, cpk=own)
    file.append_data(CONTENT[700_000:], 700_000, cpk=own)
    file.flush_data(len(CONTENT), cpk=own)
    assert file.download_file(cpk=own).readall() == CONTENT
    assert file.get_file_properties(cpk=own).size == len(CONTENT)
    assert file.download_file(offset=262_000, length=300_000, cpk=own).readall() == CONTENT[262_000:562_000]
    with refused(409, NEEDS_KEY):
        file.download_file()
    with refused(409, WRONG_KEY):
        file.download_file(cpk=other)
    with refused(409, NEEDS_KEY):
        file.append_data(b"more", len(CONTENT))
    file.set_metadata({"a": "b"}, cpk=own)
    assert file.get_file_properties(cpk=own).metadata["a"] == "b"
    uploaded = filesystem.get_file_client("dir/uploaded")
    uploaded.upload_data(CONTENT, overwrite=True, cpk=own)
    assert uploaded.download_file(cpk=own).readall() == CONTENT
    filesystem.delete_directory("dir")


@pytest.mark.parametrize("account", [ACCOUNT, "flataccount1"])
def test_blobs_take_keys_and_are_read_with_them_only(sealed, account):
    serving, _ = sealed
    own, other = keys(blob)
    endpoint = serving["blobEndpoint"].replace("http://", "https://").replace(ACCOUNT, account)
    credential = {"account_name": account, "account_key": KEY}
    sizes = {"max_single_put_size": 100_000, "max_block_size": 300_000, "min_large_block_upload_threshold": 50_000}
    service = blob.BlobServiceClient(endpoint, credential=credential, retry_total=0, **sizes)
    container = service.create_container("blobkeys")
    whole = container.get_blob_client("whole")
    whole.upload_blob(CONTENT[:1_000], cpk=own)
    assert whole.download_blob(cpk=own).readall() == CONTENT[:1_000]
    blocks = container.get_blob_client("blocks")
    blocks.upload_blob(CONTENT, cpk=own)
    assert blocks.download_blob(cpk=own).readall() == CONTENT
    for client in (whole, blocks):
        assert client.get_blob_properties(cpk=own).encryption_key_sha256 == own.key_hash
        with refused(409, NEEDS_KEY):
            client.download_blob()
        with refused(409, WRONG_KEY):
            client.download_blob(cpk=other)
        client.set_blob_metadata({"a": "b"}, cpk=own)
    copied = container.get_blob_client("copied")
    signature = blob.generate_blob_sas(
        account, "blobkeys", "blocks", account_key=KEY, permission="r", expiry="2999-01-01T00:00:00Z"
    )
    copied.stage_block_from_url("YQ==", f"{blocks.url}?{signature}", source_cpk=own, cpk=other)
    copied.commit_block_list([blob.BlobBlock("YQ==")], cpk=other)
    assert copied.download_blob(cpk=other).readall() == CONTENT
    container.delete_blob("copied")
    assert [found.name for found in container.list_blobs()] == ["blocks", "whole"]
    log = container.get_blob_client("log")
    log.create_append_blob(cpk=own)
    log.append_block(b"one", cpk=own)
    log.append_block(b"two", cpk=own)
    assert log.download_blob(cpk=own).readall() == b"onetwo"
    if account != ACCOUNT:
        snapshot = whole.create_snapshot(cpk=own)
        earlier = container.get_blob_client("whole", snapshot=snapshot)
        assert earlier.download_blob(cpk=own).readall() == CONTENT[:1_000]
        disk = container.get_blob_client("disk")
        disk.create_page_blob(1_024, cpk=own)
        disk.upload_page(b"x" * 512, offset=512, length=512, cpk=own)
        assert disk.download_blob(cpk=own).readall() == b"\0" * 512 + b"x" * 512
    for name in ("whole", "blocks", "log"):
        container.delete_blob(name, delete_snapshots="include")


def test_nothing_that_was_written_is_on_the_disk(sealed):
    serving, data = sealed
    endpoint = serving["blobEndpoint"].replace("http://", "https://")
    credential = {"account_name": ACCOUNT, "account_key": KEY}
    service = blob.BlobServiceClient(endpoint, credential=credential, retry_total=0)
    container = service.create_container("nobody-reads-this-container")
    content = b"nobody reads this content " * 10_000
    metadata = {"nobodyreadsthiskey": "nobody-reads-this-value"}
    container.upload_blob("nobody-reads-this-name", content, metadata=metadata)
    container.upload_blob("nobody-reads-this-name-2", content[:100], metadata=metadata)
    read = container.get_blob_client("nobody-reads-this-name").download_blob().readall()
    assert read == content
    for path in (data / "emulator").rglob("*"):
        if path.is_file():
            found = path.read_bytes().lower()
            assert b"nobody reads" not in found and b"nobody-reads" not in found and b"nobodyreads" not in found, path
