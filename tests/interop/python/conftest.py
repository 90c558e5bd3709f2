"""Starts the demo once, and knows how its rows look in the lake."""

import asyncio
import json
import os
import pathlib
import subprocess
import uuid

import azure.storage.filedatalake as datalake
import azure.storage.filedatalake.aio as datalake_async
import pytest

from blocking import Blocking

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """What the demo says once it serves."""
    program = os.environ.get("LAKESTAGE_BIN")
    assert program, "set LAKESTAGE_BIN to the lakestage command that is to be tested"
    data = tmp_path_factory.mktemp("demo") / "data"
    command = [program, "--json", "--data", str(data), "demo", "--rows", "240", "--soft-delete-days", "7", "--blob-port", "0", "--dfs-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    serving = None
    for line in process.stdout:
        event = json.loads(line)
        if event.get("serving"):
            serving = event
            break
    assert serving, f"the demo ended with {process.wait()} before it served"
    serving["data"] = str(data)
    serving["authority"] = {
        kind: serving[f"{kind}Endpoint"].split("//")[1].split("/")[0] for kind in ("blob", "dfs")
    }
    serving["connection_string"] = (
        f"DefaultEndpointsProtocol=http;AccountName={serving['account']};AccountKey={serving['key']};"
        f"BlobEndpoint={serving['blobEndpoint']};"
    )
    yield serving
    process.terminate()
    assert process.wait(timeout=60) == 0


@pytest.fixture(params=["sync", "async"])
def service(request, demo):
    """The datalake client, as it is and in its asynchronous form."""
    options = {"credential": demo["key"], "retry_total": 0}
    if request.param == "sync":
        with datalake.DataLakeServiceClient(demo["dfsEndpoint"], **options) as client:
            yield client
        return
    loop = asyncio.new_event_loop()
    client = Blocking(datalake_async.DataLakeServiceClient(demo["dfsEndpoint"], **options), loop)
    yield client
    client.close()
    loop.close()


@pytest.fixture
def lake(service):
    """A filesystem of a test's own."""
    made = service.create_file_system(f"py-{uuid.uuid4().hex}")
    yield made
    made.delete_file_system()
