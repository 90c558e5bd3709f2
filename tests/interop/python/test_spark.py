"""PySpark on files that were downloaded: CSV with several lines in a cell and doubled quotes."""

import json

from azure.storage.blob import BlobServiceClient

import expected

def test_spark_reads_what_was_put_in(demo, spark, tmp_path):
    service = BlobServiceClient(demo["blobEndpoint"], credential=demo["key"])
    lake = service.get_container_client(demo["filesystem"])
    for entity in json.loads(lake.download_blob("model.json").readall())["entities"]:
        columns = [attribute["name"] for attribute in entity["attributes"]]
        if "IsDelete" in columns:
            continue
        paths = []
        for partition in entity["partitions"]:
            path = tmp_path / f"{entity['name']}-{partition['name']}.csv"
            location = partition["location"].split(f"/{demo['filesystem']}/", 1)[1]
            path.write_bytes(lake.download_blob(location).readall())
            paths.append(str(path))
        frame = spark.read.csv(
            paths,
            schema=", ".join(f"`{column}` STRING" for column in columns),
            multiLine=True,
            quote='"',
            escape='"',
            lineSep="\n",
            maxCharsPerColumn=-1,
            maxColumns=5000,
        )
        found = {row["Id"]: {c: row[c] or "" for c in columns} for row in frame.collect()}
        expected.assert_equal(entity["name"], found, expected.rows(entity["name"], demo["input"]["current"]))
