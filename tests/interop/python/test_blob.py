"""azure-storage-blob."""

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobBlock, BlobServiceClient

import expected


@pytest.fixture
def service(demo):
    return BlobServiceClient(demo["blobEndpoint"], credential=demo["key"])


def test_it_reads_what_was_put_in(demo, service):
    container = service.get_container_client(demo["filesystem"])

    def read(path):
        return container.download_blob(path).readall()

    expected.assert_lake(read, read("model.json"), demo["input"]["current"])


def test_it_writes_in_blocks_copies_and_deletes_in_batches(service):
    container = service.create_container("blob-test")
    blob = container.get_blob_client("p/q.bin")
    blob.stage_block("a1", b"abc")
    blob.stage_block("a2", b"def")
    blob.commit_block_list([BlobBlock("a2"), BlobBlock("a1")])
    assert blob.download_blob().readall() == b"defabc"
    assert blob.download_blob(offset=1, length=3).readall() == b"efa"
    with pytest.raises(ResourceExistsError):
        blob.upload_blob(b"other")
    copy = container.get_blob_client("copy")
    copy.start_copy_from_url(blob.url)
    assert copy.download_blob().readall() == b"defabc"
    assert sorted(b.name for b in container.walk_blobs()) == ["copy", "p/"]
    container.delete_blobs("copy", "p/q.bin")
    assert [b.name for b in container.list_blobs()] == ["p"]
    service.delete_container("blob-test")
