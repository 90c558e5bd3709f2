"""Starts the demo once, and knows how its rows look in the lake."""

import asyncio
import json
import os
import pathlib
import shutil
import subprocess
import uuid

import azure.storage.filedatalake as datalake
import azure.storage.filedatalake.aio as datalake_async
import pytest

from blocking import Blocking
from published import Published

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


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """Rows that are easily read wrongly, in every layout and format."""
    made = Published(tmp_path_factory.mktemp("published"))
    try:
        made.fill()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def spark():
    """Spark with Hadoop's driver of the lake, whose jars it gets as any notebook would; a Java process each session."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.session.timeZone": "UTC",
        # The version that this PySpark has the rest of Hadoop in; what is left out is for other drivers.
        "spark.jars.packages": "org.apache.hadoop:hadoop-azure:3.5.0",
        "spark.jars.excludes": "org.apache.hadoop:hadoop-common,com.microsoft.azure:azure-storage,"
        "com.microsoft.azure:azure-keyvault-core,org.apache.httpcomponents:httpclient",
        "spark.hadoop.fs.abfs.impl.disable.cache": "true",
        "spark.hadoop.fs.azure.always.use.https": "false",
        "spark.hadoop.fs.azure.networking.library": "JDK_HTTP_URL_CONNECTION",
        "spark.hadoop.fs.azure.io.retry.max.retries": "1",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


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
