"""Faults on purpose, and the retry policies of the SDKs: every fault is overcome, with nothing lost or doubled."""

import json
import os
import subprocess
import urllib.request
import uuid

import azure.core.exceptions as failures
import azure.storage.filedatalake as datalake
import pytest

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BYTES = bytes(range(256)) * 64
CHUNK = 4096
# Whatever a request runs into, it is sent again at once.
RETRIES = {"retry_policy": datalake.LinearRetry(backoff=0, random_jitter_range=0, retry_total=6)}

BEFORE = {
    "egress": {"fault": "throttle", "limit": "egress"},
    "ingress": {"fault": "throttle", "limit": "ingress", "retryAfterS": 0},
    "operations": {"fault": "throttle", "limit": "operations"},
    "server": {"fault": "throttle", "limit": "server"},
    "internal": {"fault": "error", "status": 500, "code": "InternalError"},
    "timeout": {"fault": "error", "status": 500, "code": "OperationTimedOut"},
    "reset": {"fault": "resetBefore"},
}
AFTER = {
    "reset": {"fault": "resetAfter"},
    "lost": {"fault": "loseAnswer"},
}
READING = {
    "truncated": {"fault": "truncate", "bytes": 100},
    "late": {"fault": "slowFirstByte", "delayMs": 50},
    "slow": {"fault": "slowStream", "bytesPerSecond": 200_000},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A lake in memory in which things can go wrong, and the file that requests are recorded in."""
    record = tmp_path_factory.mktemp("faults") / "requests.jsonl"
    ports = ["--blob-port", "0", "--dfs-port", "0", "--faults-port", "0"]
    command = [os.environ["LAKESTAGE_BIN"], "--json", "serve", "--memory", *ports, "--record", str(record)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    serving = json.loads(process.stdout.readline())
    serving["record"] = record
    yield serving
    process.terminate()
    assert process.wait(timeout=60) == 0


@pytest.fixture
def lake(served):
    """A filesystem of a test's own; nothing goes wrong yet."""
    plan(served)
    with datalake.DataLakeServiceClient(served["dfsEndpoint"], credential=KEY, **RETRIES) as client:
        made = client.create_file_system(f"py-{uuid.uuid4().hex}")
        yield made
        plan(served)
        made.delete_file_system()


def plan(served, *faults, seed=0):
    """What goes wrong from now on."""
    body = json.dumps({"seed": seed, "faults": faults}).encode()
    request = urllib.request.Request(served["faultsEndpoint"], body, method="PUT")
    assert urllib.request.urlopen(request).status == 204


def happened(served):
    return sum(json.load(urllib.request.urlopen(served["faultsEndpoint"]))["happened"])


def once_each(effect, *operations):
    return [{"match": {"operation": operation}, "count": 1, "do": effect} for operation in operations]


def upload(lake, name):
    """In several requests: create, appends, flush."""
    file = lake.get_file_client(name)
    file.create_file()
    for start in range(0, len(BYTES), CHUNK):
        file.append_data(BYTES[start : start + CHUNK], offset=start)
    file.flush_data(len(BYTES))
    return file


@pytest.mark.parametrize("effect", BEFORE.values(), ids=BEFORE.keys())
def test_refusals_and_resets_before_the_work_are_retried(served, lake, effect):
    operations = ["createPath", "append", "flush", "readPath", "renamePath", "getPathProperties", "listPaths", "deletePath"]
    plan(served, *once_each(effect, *operations), *once_each(effect, "getBlob"))
    file = upload(lake, "a")
    assert file.download_file().readall() == BYTES
    moved = file.rename_file(f"{lake.file_system_name}/b")
    assert moved.get_file_properties().size == len(BYTES)
    assert [path.name for path in lake.get_paths()] == ["b"]
    moved.delete_file()
    assert list(lake.get_paths()) == []
    # A download goes by way of the Blob endpoint, so one of the two reads is not asked for.
    assert happened(served) >= len(operations) - 1


@pytest.mark.parametrize("effect", AFTER.values(), ids=AFTER.keys())
def test_an_answer_that_is_lost_after_the_work_doubles_nothing(served, lake, effect):
    plan(served, *once_each(effect, "createPath", "append", "flush", "setMetadata", "setAccessControl"))
    file = upload(lake, "a")
    file.set_access_control(permissions="rwxr-x---")
    file.set_metadata({"k": "v"})
    assert happened(served) == 5
    properties = file.get_file_properties()
    assert properties.size == len(BYTES)
    assert properties.metadata["k"] == "v"
    assert file.download_file().readall() == BYTES
    assert len(list(lake.get_paths())) == 1


@pytest.mark.parametrize("effect", AFTER.values(), ids=AFTER.keys())
def test_a_rename_whose_answer_is_lost_has_happened_once(served, lake, effect):
    file = upload(lake, "a")
    plan(served, *once_each(effect, "renamePath"))
    # The SDK sends it again, and learns that the source is gone: whoever cares looks at the target.
    with pytest.raises(failures.ResourceNotFoundError):
        file.rename_file(f"{lake.file_system_name}/b")
    assert [path.name for path in lake.get_paths()] == ["b"]
    assert lake.get_file_client("b").download_file().readall() == BYTES


@pytest.mark.parametrize("effect", READING.values(), ids=READING.keys())
def test_a_body_that_is_cut_off_late_or_slow_is_read_whole(served, lake, effect):
    file = upload(lake, "a")
    plan(served, *once_each(effect, "readPath", "getBlob"))
    assert file.download_file().readall() == BYTES
    assert happened(served) >= 1


def test_a_body_with_a_wrong_checksum_is_read_again(served, lake):
    file = upload(lake, "a")
    plan(served, *once_each({"fault": "wrongChecksum"}, "getBlob", "readPath"))
    read = file.download_file(validate_content=True).readall()
    assert happened(served) >= 1
    assert read == BYTES


def test_small_pages_lose_and_double_no_name(served, lake):
    names = [f"f{number:02}" for number in range(20)]
    for name in names:
        lake.create_file(name)
    plan(served, {"do": {"fault": "smallPages", "entries": 3}})
    assert [path.name for path in lake.get_paths()] == names


def test_a_recursive_change_that_ends_early_is_sent_again(served, lake):
    for number in range(10):
        lake.create_file(f"d/f{number}")
    plan(served, *once_each({"fault": "partialAcl", "entries": 4}, "setAccessControlRecursive"))
    directory = lake.get_directory_client("d")
    result = directory.set_access_control_recursive("user::rwx,group::r-x,other::--x")
    assert happened(served) == 1
    assert (result.counters.directories_successful, result.counters.files_successful) == (1, 10)
    for path in lake.get_paths("d"):
        assert path.permissions == "rwxr-x--x"


def test_a_lease_that_ran_out_stops_its_holder_and_nobody_else(served, lake):
    file = lake.create_file("a")
    lease = file.acquire_lease()
    file.append_data(b"mine", 0, lease=lease)
    plan(served, *once_each({"fault": "expireLease"}, "flush"))
    with pytest.raises(failures.HttpResponseError) as refused:
        file.flush_data(4, lease=lease)
    assert refused.value.error_code == "LeaseLost"
    again = file.acquire_lease()
    file.flush_data(4, lease=again)
    assert file.get_file_properties().size == 4


def test_a_filesystem_that_is_being_deleted_can_be_made_again_after_a_while(served):
    plan(served, {"count": 1, "do": {"fault": "deletingFilesystem", "forMs": 400}})
    name = f"py-{uuid.uuid4().hex}"
    with datalake.DataLakeServiceClient(served["dfsEndpoint"], credential=KEY, **RETRIES) as client:
        client.create_file_system(name).delete_file_system()
        refusals = 0
        while True:
            try:
                client.create_file_system(name)
                break
            except failures.HttpResponseError as error:
                assert error.error_code in ("FilesystemBeingDeleted", "ContainerBeingDeleted")
                refusals += 1
        assert refusals > 0
        client.delete_file_system(name)


def test_a_challenge_is_told_to_who_signs_with_a_key(served, lake):
    plan(served, {"count": 1, "do": {"fault": "challenge"}})
    with pytest.raises(failures.ClientAuthenticationError) as refused:
        lake.get_file_system_properties()
    assert refused.value.response.headers["www-authenticate"].startswith("Bearer ")
    assert lake.get_file_system_properties().name == lake.file_system_name


def test_one_request_in_four_fails_and_everything_arrives(served, lake):
    faults = [{"probability": 0.06, "do": effect} for effect in BEFORE.values()]
    plan(served, *faults, seed=11)
    for number in range(6):
        upload(lake, f"f{number}")
    for number in range(6):
        assert lake.get_file_client(f"f{number}").download_file().readall() == BYTES
    assert happened(served) > 10
    plan(served)
    records = [json.loads(line) for line in served["record"].read_text().splitlines()]
    assert {record["fault"] for record in records} >= {None, "throttle", "error", "resetBefore"}
    # Each attempt of a request is there under the client's own number.
    attempts = [record for record in records if record["fault"] == "resetBefore"]
    assert all(record["status"] is None and record["clientRequestId"] for record in attempts)
