"""Tables that are handed on: `lakestage export delta` read by delta-rs, and Spark's merge of incremental folders.

Rows come, change and go over several intervals. What each reader finds is compared value by value with the rows of our
own snapshot, and the change data feed with what differs from one snapshot to the next.
"""

import datetime
import decimal
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("LAKESTAGE_BIN")
JOB = ROOT / "fixtures" / "spark" / "merge_incremental.py"
TEXTS = ["plain", "with, comma", 'say "hi"', '"', "line\nbreak", "line\r\nbreak", " spaces ", "Zoë", "🙂", "\\", "NULL", "\t"]
UTC = datetime.timezone.utc
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
LAKE_COLUMNS = {"Id", "SinkCreatedOn", "SinkModifiedOn", "IsDelete"}

MIXED = {
    "name": "mixed",
    "primaryKey": "mixedid",
    "columns": [
        {"name": "statecode", "type": "state", "options": [{"value": 0, "label": "On"}, {"value": 1, "label": "Off"}]},
        {"name": "colour", "type": "choice", "options": [{"value": 3, "label": "Red"}, {"value": -4, "label": "Green"}]},
        {"name": "several", "type": "multiselect", "options": [{"value": 10, "label": "A"}, {"value": 20, "label": "B"}]},
        {"name": "flag", "type": "boolean"},
        {"name": "ownerid", "type": "owner"},
        {"name": "price", "type": "money"},
        {"name": "exact", "type": "decimal", "scale": 10},
        {"name": "rough", "type": "double", "scale": 5},
        {"name": "whole", "type": "integer"},
        {"name": "large", "type": "bigint"},
        {"name": "day", "type": "datetime", "behavior": "dateOnly"},
        {"name": "wall", "type": "datetime", "behavior": "timeZoneIndependent"},
        {"name": "moment", "type": "datetime"},
        {"name": "line", "type": "string", "maxLength": 4000},
        {"name": "versionnumber", "type": "bigint"},
        {"name": "createdon", "type": "datetime"},
        {"name": "mixedid", "type": "uniqueidentifier"},
    ],
}
# No createdon, and no wall time: the plainest protocol.
PLAIN = {
    "name": "plain",
    "primaryKey": "plainid",
    "columns": [
        {"name": "plainid", "type": "uniqueidentifier"},
        {"name": "note", "type": "memo", "maxLength": 4000},
        {"name": "versionnumber", "type": "bigint"},
    ],
}


def _id(number):
    return f"{(number * 2654435761) % (1 << 32):08x}-{number:04x}-4000-8000-00000000abcd"


def _mixed(number, round=0):
    row = {"mixedid": _id(number), "line": TEXTS[(number + round) % len(TEXTS)]}
    row["createdon"] = f"{2020 + number % 4}-{1 + number % 12:02}-0{1 + number % 9}T08:09:10Z"
    if number % 5 == 0:
        return row
    row |= {"statecode": number % 2, "colour": [3, -4][number % 2], "flag": number % 3 == 0, "several": "10;20"}
    row |= {"ownerid": _id(1000 + number), "ownerid_entitytype": "team", "price": f"-{number}.25"}
    row |= {"exact": f"{number}.0000000001", "rough": number / 8, "whole": -number - round, "large": 9007199254740993 + number}
    row |= {"day": "1753-01-01", "wall": "2024-02-29T23:59:59", "moment": "2024-02-29T23:59:59.123456+02:00"}
    return row


class Site:
    """An environment with a link of snapshots, one of folders, and a folder of Delta tables."""

    def __init__(self, folder, schemas):
        self.folder, self.schemas = pathlib.Path(folder), {schema["name"]: schema for schema in schemas}
        self.run("init", "contoso", "--organization", "org1")
        for schema in schemas:
            self.table("add", schema)
        tables = [f"--table={name}" for name in self.schemas]
        self.run("link", "new", "now", "--to", f"folder:{self.folder / 'now'}", *tables)

    def command(self, *arguments):
        return [PROGRAM, "--json", "--data", str(self.folder / "data"), *map(str, arguments)]

    def run(self, *arguments, stdin=None):
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, (arguments, done.stderr.decode())
        return done.stdout

    def table(self, verb, schema, *name):
        path = self.folder / f"{schema['name']}.json"
        path.write_text(json.dumps(schema))
        self.schemas[schema["name"]] = schema
        self.run("table", verb, *name, path)

    def ingest(self, table, rows):
        lines = "\n".join(json.dumps(row) for row in rows)
        self.run("ingest", table, "--format", "jsonl", "--write", "upsert", stdin=lines.encode())

    def export(self, *options):
        return json.loads(self.run("export", "delta", *self.schemas, "--to", self.folder / "delta", *options))

    def delta(self, table, version=None):
        return DeltaTable(str(self.folder / "delta" / table), version=version)

    def state(self, table):
        """The rows of our own snapshot, as values by id."""
        self.run("snapshot", "now")
        lines = self.run("snapshot", "read", table, "--link", "now", "--format", "jsonl").decode().split("\n")
        schema = self.schemas[table]
        kinds = {column["name"]: column for column in schema["columns"]}
        names = [name for column in schema["columns"] for name in _names(column)]
        rows = {}
        found = [json.loads(line, parse_int=str, parse_float=str) for line in filter(None, lines)]
        # An append-only table has each change, and a delete as a row.
        for row in sorted(found, key=lambda row: int(row["versionnumber"])):
            values = {name: _value(kinds.get(name, {}), cell) for name, cell in row.items()}
            # What is null is left out.
            rows[row["Id"]] = {name: values.pop(name, None) for name in names}
            assert values.keys() <= LAKE_COLUMNS
            if row.get("IsDelete") in (True, "True"):
                del rows[row["Id"]]
        return rows


def _names(column):
    is_lookup = column["type"] in ("lookup", "owner", "customer")
    return [column["name"], column["name"] + "_entitytype"] if is_lookup else [column["name"]]


def _value(column, cell):
    """The value that a cell of the snapshot means."""
    if cell is None or cell == "":
        return None
    kind = column.get("type", "string")
    if kind == "boolean":
        return cell is True or cell == "True"
    if kind in ("state", "status", "choice", "integer", "bigint"):
        return int(cell)
    if kind in ("decimal", "money", "double"):
        return decimal.Decimal(cell)
    if kind == "datetime":
        head, rest = cell.split(".", 1)
        moment = datetime.datetime.fromisoformat(head) + datetime.timedelta(microseconds=int(rest[:6]))
        behavior = column.get("behavior", "userLocal")
        return {"dateOnly": moment.date(), "userLocal": moment.replace(tzinfo=UTC)}.get(behavior, moment)
    return cell


def _rows(table, key):
    found = table.to_pylist()
    rows = {row[key]: row for row in found}
    assert len(rows) == len(found), "an id is there twice"
    return rows


def _delta(site, table, version=None):
    dataset = site.delta(table, version).to_pyarrow_table()
    return _rows(dataset, site.schemas[table]["primaryKey"])


def _changes(site, table, version):
    """The change data feed of one version."""
    feed = pa.table(site.delta(table).load_cdf(starting_version=version, ending_version=version).read_all())
    return [row for row in feed.to_pylist() if row.pop("_commit_version") == version and row.pop("_commit_timestamp")]


def _difference(before, after):
    """What the change data feed between two states has to say."""
    said = []
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old is None:
            said.append(new | {"_change_type": "insert"})
        elif new is None:
            said.append(old | {"_change_type": "delete"})
        elif old != new:
            said += [old | {"_change_type": "update_preimage"}, new | {"_change_type": "update_postimage"}]
    return said


def _in_order(changes, key):
    return sorted(changes, key=lambda change: (change[key], change["_change_type"]))


class Handover(Site):
    """Four intervals; what stood in the snapshot after each, and which Delta version shows it."""

    def __init__(self, folder):
        super().__init__(folder, [MIXED, PLAIN])
        self.run("link", "new", "folders", "--to", f"folder:{self.folder / 'folders'}", "--incremental", "5m", "--all")
        self.lake = self.folder / "folders" / "dataverse-contoso-org1"
        self.states, self.versions = [], []
        for interval in (self.first, self.second, self.third, self.fourth):
            interval()
            self.run("snapshot", "folders")
            self.states.append({table: self.state(table) for table in self.schemas})
            reports = self.export("--file-bytes", "65536")
            self.versions.append({report["table"]: report["deltaVersion"] for report in reports})

    def first(self):
        self.ingest("mixed", [_mixed(n) for n in range(60)])
        self.ingest("plain", [{"plainid": _id(n), "note": TEXTS[n % len(TEXTS)] * 9} for n in range(30)])

    def second(self):
        self.ingest("mixed", [_mixed(n, 1) for n in range(5, 12)] + [_mixed(n) for n in range(60, 70)])
        self.ingest("mixed", [{"mixedid": _id(n), "@op": "delete"} for n in (1, 2, 62)])
        # Comes and goes within an interval, and is deleted and comes back.
        self.ingest("mixed", [_mixed(99), {"mixedid": _id(99), "@op": "delete"}, {"mixedid": _id(20), "@op": "delete"}])
        self.ingest("mixed", [_mixed(20, 2), {"mixedid": _id(21), "price": None}])

    def third(self):
        wider = json.loads(json.dumps(MIXED))
        wider["columns"] += [{"name": "later", "type": "string", "maxLength": 100}, {"name": "count", "type": "integer"}]
        self.table("alter", wider, "mixed")
        self.ingest("mixed", [{"mixedid": _id(n), "later": TEXTS[n % len(TEXTS)], "count": n} for n in range(30, 36)])
        self.ingest("mixed", [_mixed(200) | {"later": "new"}, {"mixedid": _id(5), "@op": "delete"}])
        self.ingest("plain", [{"plainid": _id(n), "@op": "delete"} for n in range(30)])

    def fourth(self):
        self.ingest("plain", [{"plainid": _id(n), "note": "again"} for n in range(3)])


@pytest.fixture(scope="module")
def handover(tmp_path_factory):
    return Handover(tmp_path_factory.mktemp("handover"))


@pytest.mark.parametrize("table", ["mixed", "plain"])
def test_the_delta_table_has_every_value_of_the_snapshot_at_each_version(handover, table):
    for state, versions in zip(handover.states, handover.versions):
        found = _delta(handover, table, versions[table])
        assert found == state[table]
    assert _delta(handover, table) == handover.states[-1][table]


@pytest.mark.parametrize("table", ["mixed", "plain"])
def test_the_change_data_feed_has_exactly_what_differs_from_snapshot_to_snapshot(handover, table):
    key = handover.schemas[table]["primaryKey"]
    columns = {column for state in handover.states for row in state[table].values() for column in row}
    before, last = {}, -1
    for state, versions in zip(handover.states, handover.versions):
        said = []
        for version in range(last + 1, versions[table] + 1):
            said += _changes(handover, table, version)
        after = {key: dict.fromkeys(columns) | row for key, row in state[table].items()}
        assert _in_order(said, key) == _in_order(_difference(before, after), key)
        before, last = after, versions[table]


def test_what_did_not_change_is_not_exported_again(handover):
    before = {path: path.stat().st_mtime_ns for path in (handover.folder / "delta").rglob("*.parquet")}
    reports = handover.export("--file-bytes", "65536")
    assert [report["step"] for report in reports] == ["upToDate", "upToDate"]
    assert {path: path.stat().st_mtime_ns for path in (handover.folder / "delta").rglob("*.parquet")} == before


def test_a_small_change_costs_a_file_and_vacuum_leaves_what_is_needed(tmp_path):
    site = Site(tmp_path, [PLAIN])
    random.seed(7)
    # Text that does not compress, so that there are many files.
    notes = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1500)) for _ in range(3000)]
    site.ingest("plain", [{"plainid": _id(n), "note": note} for n, note in enumerate(notes)])
    first = site.export("--file-bytes", "262144")[0]
    assert first["files"] >= 8
    site.ingest("plain", [{"plainid": _id(17), "note": "changed"}])
    second = site.export("--file-bytes", "262144")[0]
    assert (second["updated"], second["inserted"]) == (1, 0)
    assert second["bytesWritten"] < first["bytesWritten"] / 6
    for number in range(10):
        site.ingest("plain", [{"plainid": _id(5000 + number), "note": "new"}])
        last = site.export("--file-bytes", "262144")[0]
    assert last["files"] <= first["files"] + 9, "small files are put together"
    state = site.state("plain")
    assert _delta(site, "plain") == state
    removed = site.delta("plain").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert removed
    assert _delta(site, "plain") == state
    site.ingest("plain", [{"plainid": _id(5003), "@op": "delete"}])
    site.export("--file-bytes", "262144")
    assert _delta(site, "plain") == site.state("plain")


def test_an_export_that_is_killed_at_any_moment_is_there_once(tmp_path):
    site = Site(tmp_path, [MIXED])
    random.seed(12)
    options = ["--to", site.folder / "delta", "--file-bytes", "65536"]
    killed, left, last, before, said, takes_s = 0, 0, -1, {}, 0, 0.2
    for step in range(14):
        rows = [_mixed(number, step) for number in random.sample(range(2000), 300)]
        rows += [{"mixedid": row["mixedid"], "@op": "delete"} for row in rows[::7]]
        site.ingest("mixed", rows)
        process = subprocess.Popen(site.command("export", "delta", "mixed", *options), stdout=subprocess.DEVNULL)
        time.sleep(random.uniform(0.2, 1.1) * takes_s)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        left += bool(_parts(site, "mixed") - _named(site, "mixed"))
        if step % 3 == 0:
            continue
        start = time.monotonic()
        site.run("export", "delta", "mixed", *options)
        takes_s = time.monotonic() - start
        state = site.state("mixed")
        assert _delta(site, "mixed") == state
        assert _parts(site, "mixed") <= _named(site, "mixed")
        # Following the feed from version to version gives the same rows, so that no change is told twice or not at all.
        while last < site.delta("mixed").version():
            last += 1
            for change in _changes(site, "mixed", last):
                kind, key = change.pop("_change_type"), change["mixedid"]
                said += 1
                if kind == "insert":
                    assert key not in before
                if kind in ("update_preimage", "delete"):
                    assert before.pop(key) == change
                if kind in ("insert", "update_postimage"):
                    before[key] = change
        assert before == state
    print(f"{killed} of 14 exports were killed, {left} of them left files behind")
    assert killed >= 5 and said > 1000


def _parts(site, table):
    """The files of rows that are on the disk."""
    return {path.name for path in (site.folder / "delta" / table).glob("part-*")}


def _named(site, table):
    """The files of rows that any commit named."""
    commits = (site.folder / "delta" / table / "_delta_log").glob("0*.json")
    actions = (json.loads(line) for commit in commits for line in commit.read_text().split("\n") if line)
    return {action["add"]["path"] for action in actions if "add" in action}


def test_a_table_that_is_sent_to_a_lake_is_the_same_there(tmp_path):
    site = Site(tmp_path, [MIXED])
    serve = site.command("serve", "--blob-port", "0", "--dfs-port", "0")
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            serving = json.loads(server.stdout.readline())
            options = {"account_name": ACCOUNT, "account_key": KEY, "allow_http": "true"}
            options["azure_endpoint"] = serving["blobEndpoint"]
            url = f"abfss://delta@{ACCOUNT}.dfs.core.windows.net/mixed"
            for interval in range(3):
                site.ingest("mixed", [_mixed(number, interval) for number in range(interval * 20, 60)])
                site.export("--send-to", "emulator")
                there = DeltaTable(url, storage_options=options)
                assert there.version() == interval
                assert _rows(there.to_pyarrow_table(), "mixedid") == site.state("mixed")
            feed = pa.table(there.load_cdf(starting_version=2).read_all()).to_pylist()
            assert {row["_change_type"] for row in feed} == {"update_preimage", "update_postimage"}
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def merged(handover):
    """What Spark makes of the folders, on a cluster of two workers, each a process of its own."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    import pyspark

    home = pathlib.Path(pyspark.__file__).parent
    environment = os.environ | {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    out = handover.folder / "current"
    tables = [f"--table={table}" for table in handover.schemas]
    command = [
        home / "bin" / "spark-submit", "--master", "local-cluster[2,1,1024]", "--conf", "spark.ui.enabled=false",
        "--conf", "spark.sql.shuffle.partitions=4", JOB, "--lake", handover.lake, "--out", out, *tables,
    ]
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    worked = {executor for executor in ("0", "1") if f"executor {executor}, partition" in done.stderr}
    assert worked == {"0", "1"}, "both workers have a part of it"
    return {table: pq.read_table(out / table) for table in handover.schemas}


@pytest.mark.parametrize("table", ["mixed", "plain"])
def test_spark_merges_the_folders_into_every_value_of_the_snapshot(handover, merged, table):
    found = _rows(merged[table], handover.schemas[table]["primaryKey"])
    wanted = handover.states[-1][table]
    assert found.keys() == wanted.keys()
    behaviors = {column["name"]: column.get("behavior") for column in handover.schemas[table]["columns"]}
    for key, row in wanted.items():
        for column, value in row.items():
            # model.json does not tell dates and wall times from moments, so all of them are in UTC.
            if behaviors.get(column) == "dateOnly" and value:
                value = datetime.datetime(value.year, value.month, value.day)
            if isinstance(value, datetime.datetime):
                value = value.replace(tzinfo=UTC)
            assert found[key][column] == value, (key, column)
