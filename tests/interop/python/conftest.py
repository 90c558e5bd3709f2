"""Starts the demo once, and knows how its rows look in the lake."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """What the demo says once it serves."""
    program = os.environ.get("LAKESTAGE_BIN")
    assert program, "set LAKESTAGE_BIN to the lakestage command that is to be tested"
    data = tmp_path_factory.mktemp("demo") / "data"
    command = [program, "--json", "--data", str(data), "demo", "--rows", "240", "--blob-port", "0", "--dfs-port", "0"]
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
