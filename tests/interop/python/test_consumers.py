"""Reads the lake the way that programs written against the real service read theirs.

Each test keeps to the rules of one sort of reader: what it insists on, by which place it finds things, how it cuts lines.
"""

import csv
import datetime
import io
import json
import re

import polars
import pytest
from azure.storage.blob import BlobPrefix, BlobServiceClient

import expected

TRICKLE_FEED = "Microsoft.Athena.TrickleFeedService"
DATE_FORMS = ["%m/%d/%Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S.%f"]
ATTRIBUTE_TYPES = {
    "guid": {"Uniqueidentifier", "Lookup", "Owner", "Customer"},
    "int64": {"State", "Status", "Picklist", "Integer", "BigInt"},
    "boolean": {"Boolean"},
    "decimal": {"Money", "Decimal", "Double"},
    "dateTime": {"DateTime"},
    "dateTimeOffset": {"DateTime"},
    "string": {"String", "Memo", "EntityName", "MultiSelectPicklist"},
}


@pytest.fixture(scope="module")
def lake(demo):
    service = BlobServiceClient(demo["blobEndpoint"], credential=demo["key"])
    return service.get_container_client(demo["filesystem"])


@pytest.fixture(scope="module")
def model(lake):
    return json.loads(lake.download_blob("model.json").readall())


def _read(lake, path):
    return lake.download_blob(path).readall()


def _path(demo, partition):
    return partition["location"].split(f"/{demo['filesystem']}/", 1)[1]


def test_a_reader_that_knows_one_manifest_format_takes_it(model):
    assert (model["name"], model["version"]) == ("cdm", "1.0")
    for entity in model["entities"]:
        annotations = {a["name"]: a["value"] for a in entity["annotations"]}
        assert annotations["Athena:InitialSyncState"] == "Completed"
        assert annotations["Athena:PartitionGranularity"] in ("Year", "Month")
        datetime.datetime.strptime(annotations["Athena:InitialSyncDataCompletedTime"], DATE_FORMS[0])
        assert entity["partitions"] != []


def test_a_reader_of_decimals_finds_precision_and_scale_by_place(model):
    seen = 0
    for entity in model["entities"]:
        for attribute in entity["attributes"]:
            if attribute["dataType"] == "decimal":
                first = attribute["cdm:traits"][0]
                assert first["traitReference"] == "is.dataFormat.numeric.shaped"
                precision, scale = (argument["value"] for argument in first["arguments"])
                assert isinstance(precision, int) and isinstance(scale, int) and scale <= precision
                seen += 1
    assert seen > 10


def test_a_reader_of_near_real_time_files_finds_them_by_its_leading_slash(demo, lake):
    listed = lake.walk_blobs(name_starts_with=f"/{TRICKLE_FEED}/", delimiter="/")
    names = [blob.name for blob in listed if not isinstance(blob, BlobPrefix)]
    manifests = [name for name in names if name.endswith("-model.json")]
    assert len(manifests) == 4
    for name in manifests:
        (entity,) = json.loads(_read(lake, name.lstrip("/")))["entities"]
        columns = [attribute["name"] for attribute in entity["attributes"]]
        files = [_read(lake, f"{entity['name']}/{p['name']}.csv") for p in entity["partitions"]]
        rows = expected.rows(entity["name"], demo["input"]["current"])
        expected.assert_equal(entity["name"], expected.living(columns, files), rows)


def test_a_reader_of_file_names_finds_the_newest_snapshot_of_each_partition(demo, lake, model):
    for entity in model["entities"]:
        newest = {}
        for blob in lake.list_blobs(name_starts_with=f"{entity['name']}/Snapshot/"):
            file = blob.name.split("/")[-1]
            if file.endswith(".csv"):
                partition, number = file.removesuffix(".csv").split("_")
                newest[partition] = max(newest.get(partition, 0), int(number))
        named = {}
        for partition in entity["partitions"]:
            file = _path(demo, partition).split("/")[-1]
            named[partition["name"]] = int(file.removesuffix(".csv").split("_")[1])
        assert named == newest


def test_a_reader_that_joins_lines_until_the_quotes_are_even_finds_every_row(demo, lake, model):
    for entity in model["entities"]:
        count = 0
        for partition in entity["partitions"]:
            text = _read(lake, _path(demo, partition)).decode("utf-8")
            joined = ""
            for line in text.split("\n")[:-1]:
                joined = f"{joined}\n{line}" if joined else line
                if joined.count('"') % 2 == 0:
                    # It tells a row by the id in front, and takes rows that are shorter than the schema.
                    assert re.match(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12},", joined)
                    (cells,) = csv.reader(io.StringIO(joined, newline=""))
                    assert len(cells) <= len(entity["attributes"])
                    count, joined = count + 1, ""
            assert joined == ""
        wanted = len(expected.rows(entity["name"], demo["input"]["current"]))
        # An append-only table keeps a row for each change.
        assert count == wanted or (count > wanted and entity["attributes"][-1]["name"] == "IsDelete")


def test_a_reader_of_dates_takes_every_form_there_is(demo, lake, model):
    for entity in model["entities"]:
        kinds = [attribute["dataType"] for attribute in entity["attributes"]]
        for partition in entity["partitions"]:
            text = _read(lake, _path(demo, partition)).decode("utf-8")
            for record in csv.reader(io.StringIO(text, newline="")):
                for kind, cell in zip(kinds, record):
                    if kind in ("dateTime", "dateTimeOffset") and cell:
                        # Seven digits are one more than Python counts.
                        short = re.sub(r"(\.\d{6})\d", r"\1", cell)
                        assert any(_parses(short, form) for form in DATE_FORMS), cell


def _parses(text, form):
    try:
        return datetime.datetime.strptime(text, form)
    except ValueError:
        return None


def test_a_reader_of_metadata_finds_a_type_for_every_column(lake, model):
    for entity in model["entities"]:
        name = entity["name"]
        metadata = json.loads(_read(lake, f"{TRICKLE_FEED}/{name}-EntityMetadata.json"))
        types = {row["AttributeName"]: row["AttributeType"] for row in metadata["AttributeMetadata"]}
        system = {"Id", "SinkCreatedOn", "SinkModifiedOn", "IsDelete"}
        for attribute in entity["attributes"]:
            if attribute["name"] not in system:
                assert types[attribute["name"]] in ATTRIBUTE_TYPES[attribute["dataType"]], attribute["name"]


def test_a_reader_of_labels_finds_one_for_every_choice_in_the_rows(demo, lake, model):
    def table(file):
        text = _read(lake, f"OptionsetMetadata/{file}.csv").decode("utf-8")
        return list(csv.reader(io.StringIO(text, newline="")))

    labels = {(table_name, column, option): label for table_name, column, option, _, _, label in table("OptionsetMetadata")}
    for column, option, _, _, label, _, table_name in table("GlobalOptionsetMetadata"):
        labels[table_name, column, option] = label
    for table_name, option, _, _, label in table("StateMetadata"):
        labels[table_name, "statecode", option] = label
    for table_name, _, option, _, _, label in table("StatusMetadata"):
        labels[table_name, "statuscode", option] = label
    joined = 0
    for entity in model["entities"]:
        described = expected.schema(entity["name"])["columns"]
        choices = [c["name"] for c in described if c["type"] in ("choice", "state", "status") and c.get("options")]
        for row in expected.rows(entity["name"], demo["input"]["current"]).values():
            for column in choices:
                if row[column]:
                    assert labels[entity["name"], column, row[column]]
                    joined += 1
    assert joined > 500


def test_polars_reads_what_was_put_in(demo, lake, model):
    for entity in model["entities"]:
        columns = [attribute["name"] for attribute in entity["attributes"]]
        if "IsDelete" in columns:
            continue
        found = {}
        for partition in entity["partitions"]:
            frame = polars.read_csv(
                _read(lake, _path(demo, partition)), has_header=False, new_columns=columns, infer_schema=False,
            )
            found |= {row["Id"]: {c: v or "" for c, v in row.items()} for row in frame.iter_rows(named=True)}
        expected.assert_equal(entity["name"], found, expected.rows(entity["name"], demo["input"]["current"]))


def test_pyarrow_reads_what_was_put_in(demo, lake, model):
    from pyarrow import csv as arrow_csv

    import pyarrow as pa

    for entity in model["entities"]:
        columns = [attribute["name"] for attribute in entity["attributes"]]
        if "IsDelete" in columns:
            continue
        found = {}
        for partition in entity["partitions"]:
            content = pa.py_buffer(_read(lake, _path(demo, partition)))
            table = arrow_csv.read_csv(
                pa.BufferReader(content),
                read_options=arrow_csv.ReadOptions(column_names=columns, block_size=32 << 20),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True, double_quote=True),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={column: pa.string() for column in columns}, strings_can_be_null=False
                ),
            )
            found |= {row["Id"]: row for row in table.to_pylist()}
        expected.assert_equal(entity["name"], found, expected.rows(entity["name"], demo["input"]["current"]))
