"""Files by azure-storage-file-datalake, blocking and asynchronous."""

import datetime
import os
import time

import pytest
from azure.core import MatchConditions
from azure.storage.filedatalake import ContentSettings

from refusal import refused


def read(file, **options):
    return file.download_file(**options).readall()


def write(lake, path, content=b"abc"):
    file = lake.get_file_client(path)
    file.upload_data(content, overwrite=True)
    return file


def test_a_file_is_made_with_headers_metadata_and_permissions(lake):
    settings = ContentSettings(
        content_type="text/csv", content_language="en-GB", content_disposition="inline", cache_control="no-store"
    )
    file = lake.get_file_client("deep/down/a.csv")
    file.create_file(content_settings=settings, metadata={"purpose": "tests"}, permissions="0766", umask="0000")
    found = file.get_file_properties()
    assert found.content_settings.content_type == "text/csv"
    assert found.content_settings.content_language == "en-GB"
    assert found.content_settings.content_disposition == "inline"
    assert found.content_settings.cache_control == "no-store"
    assert found.metadata == {"purpose": "tests"}
    assert (found.size, found.permissions, found.owner) == (0, "rwxrw-rw-", "$superuser")


def test_appends_become_content_when_they_are_flushed(lake):
    file = lake.create_file("f")
    file.append_data(b"lake", 6)
    file.append_data(b"local ", 0)
    assert file.get_file_properties().size == 0
    with refused(400, "InvalidFlushPosition"):
        file.flush_data(20)
    file.flush_data(10)
    assert read(file) == b"local lake"
    file.append_data(b"!", 10, flush=True)
    assert read(file) == b"local lake!"


def test_bytes_past_a_flush_are_kept_only_when_asked(lake):
    file = lake.create_file("f")
    file.append_data(b"abcdef", 0)
    file.flush_data(3, retain_uncommitted_data=True)
    file.flush_data(6)
    assert read(file) == b"abcdef"


def test_what_is_appended_is_checked_by_md5(lake):
    file = lake.create_file("f")
    file.append_data(b"checked", 0, validate_content=True)
    file.flush_data(7)
    assert read(file) == b"checked"


def test_what_is_transferred_is_checked_by_crc64(lake):
    file = lake.create_file("f")
    file.append_data(b"checked", 0, validate_content="crc64")
    file.flush_data(7)
    assert read(file, validate_content="crc64") == b"checked"


def test_large_content_goes_up_and_down_in_parallel(lake):
    content = os.urandom(120 * 1024 * 1024 + 77)
    file = lake.get_file_client("large")
    file.upload_data(content, overwrite=True, chunk_size=8 * 1024 * 1024, max_concurrency=4)
    assert file.get_file_properties().size == len(content)
    assert read(file, max_concurrency=4) == content
    assert read(file, offset=50_000_000, length=1_000) == content[50_000_000:50_001_000]


def test_uploads_replace_only_where_they_may(lake):
    file = write(lake, "f", b"first and longer")
    with refused(409, "PathAlreadyExists"):
        file.create_file(match_condition=MatchConditions.IfMissing)
    file.upload_data(b"second", overwrite=True)
    assert read(file) == b"second"
    file.create_file()
    assert read(file) == b""


def test_an_upload_that_may_not_replace_is_refused_where_something_is(lake):
    file = write(lake, "f", b"first")
    with pytest.raises(Exception) as caught:
        file.upload_data(b"second", overwrite=False)
    assert caught.value.status_code in (304, 409, 412)
    assert read(file) == b"first"


def test_headers_and_metadata_are_replaced(lake):
    file = write(lake, "f")
    before = file.get_file_properties().etag
    file.set_http_headers(ContentSettings(content_type="application/json"))
    file.set_metadata({"one": "1"})
    file.set_metadata({"two": "two words"})
    found = file.get_file_properties()
    assert found.content_settings.content_type == "application/json"
    assert found.metadata == {"two": "two words"}
    assert found.etag != before


CONDITIONAL = {
    "set_metadata": lambda file, **c: file.set_metadata({"a": "1"}, **c),
    "set_http_headers": lambda file, **c: file.set_http_headers(ContentSettings(), **c),
    "set_access_control": lambda file, **c: file.set_access_control(permissions="0640", **c),
    "get_access_control": lambda file, **c: file.get_access_control(**c),
    "flush_data": lambda file, **c: file.flush_data(3, **c),
    "get_file_properties": lambda file, **c: file.get_file_properties(**c),
    "download_file": lambda file, **c: file.download_file(**c),
    "delete_file": lambda file, **c: file.delete_file(**c),
}


@pytest.mark.parametrize("name", CONDITIONAL)
def test_conditions_are_kept(lake, name):
    operation = CONDITIONAL[name]
    file = write(lake, "f")
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.timezone.utc)
    with refused(412, "ConditionNotMet"):
        operation(file, etag='"0x1"', match_condition=MatchConditions.IfNotModified)
    with refused(412, "ConditionNotMet"):
        operation(file, if_unmodified_since=now - day)
    etag = file.get_file_properties().etag
    operation(file, etag=etag, match_condition=MatchConditions.IfNotModified, if_unmodified_since=now + day)


def test_a_lease_keeps_others_from_writing(lake):
    file = write(lake, "f")
    lease = file.acquire_lease(lease_duration=15)
    assert file.get_file_properties().lease.state == "leased"
    with refused(412, "LeaseIdMissing"):
        file.append_data(b"d", 3)
    with refused(412, "LeaseIdMissing"):
        file.set_metadata({"a": "1"})
    with refused(412, "LeaseIdMissing"):
        file.delete_file()
    file.append_data(b"d", 3, lease=lease)
    file.flush_data(4, lease=lease)
    lease.renew()
    lease.change("22222222-2222-2222-2222-222222222222")
    lease.release()
    assert read(file) == b"abcd"
    assert file.get_file_properties().lease.state == "available"


def test_leases_are_taken_and_given_back_while_writing(lake):
    file = lake.create_file("f")
    lease_id = "11111111-1111-1111-1111-111111111111"
    file.append_data(b"abc", 0, lease_action="acquire", lease_duration=15, lease=lease_id)
    assert file.get_file_properties().lease.state == "leased"
    file.flush_data(3, lease_action="release", lease=lease_id)
    assert file.get_file_properties().lease.state == "available"
    assert read(file) == b"abc"


def test_a_file_expires(lake):
    file = write(lake, "f")
    at = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(hours=1)
    file.set_file_expiry("Absolute", expires_on=at)
    assert file.get_file_properties().expiry_time == at
    file.set_file_expiry("RelativeToNow", expires_on=200)
    time.sleep(1.5)
    assert not file.exists()


def test_what_is_not_there_is_said_to_be_missing(lake):
    file = lake.get_file_client("missing")
    assert not file.exists()
    with refused(404, "BlobNotFound"):
        file.get_file_properties()
    with refused(404, "PathNotFound"):
        file.delete_file()
    with refused(404, "PathNotFound"):
        file.append_data(b"x", 0)


@pytest.mark.parametrize("service", ["sync"], indirect=True)
def test_a_query_picks_rows(lake):
    """The asynchronous client has no queries."""
    file = write(lake, "f.csv", b"1,a\n2,b\n")
    assert file.query_file("select _2 from BlobStorage where _1 = '2'").readall().strip() == b"b"
