"""Works out, apart from the engine, how a row that was put in must look in the lake."""

import csv
import datetime
import decimal
import io
import json
import pathlib

TABLES = pathlib.Path(__file__).resolve().parents[3] / "fixtures" / "sample" / "tables"
# Filled by the engine.
ENGINE_COLUMNS = {"Id", "SinkCreatedOn", "SinkModifiedOn", "versionnumber", "IsDelete"}


def schema(table):
    return json.loads((TABLES / f"{table}.json").read_text())


def column_names(table):
    """The columns of a table in the lake, without the system columns."""
    names = []
    for column in schema(table)["columns"]:
        names.append(column["name"])
        if column["type"] in ("lookup", "owner", "customer"):
            names.append(column["name"] + "_entitytype")
    return names


def _date_time(text, behavior, is_created_on):
    fraction = ""
    if "." in text:
        head, tail = text.split(".", 1)
        fraction = "".join(c for c in tail if c.isdigit() or c in "+-Z:")
        digits = ""
        for c in tail:
            if not c.isdigit():
                break
            digits += c
        text, fraction = head + tail[len(digits):], digits
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if behavior == "userLocal":
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        moment = moment.astimezone(datetime.timezone.utc)
    shown = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + "." + fraction.ljust(7, "0")
    if is_created_on:
        return shown + "+00:00"
    return shown + ("Z" if behavior == "userLocal" else "")


def cell(column, value):
    """The cell of a value that was put in."""
    if value is None or value == "":
        return ""
    kind = column["type"]
    if kind == "boolean":
        return "True" if value.lower() in ("true", "1") else "False"
    if kind in ("uniqueidentifier", "lookup", "owner", "customer"):
        return value.strip("{}").lower()
    if kind in ("decimal", "money", "double"):
        number = decimal.Decimal(value)
        text = format(number, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if kind == "datetime":
        return _date_time(value, column.get("behavior", "userLocal"), column["name"] == "createdon")
    return value


def rows(table, folder):
    """The rows that a table of the lake must have, by id."""
    described = schema(table)
    columns = {column["name"]: column for column in described["columns"]}
    found = {}
    for line in (pathlib.Path(folder) / f"{table}.jsonl").read_text().split("\n"):
        if not line:
            continue
        given = json.loads(line)
        row = {}
        for name in column_names(table):
            if name in columns:
                row[name] = cell(columns[name], given.get(name))
            else:
                row[name] = given.get(name) or ""
        found[row[described["primaryKey"]]] = row
    return found


def entities(model):
    """Per table: its columns and the paths of its files."""
    parsed = json.loads(model)
    marker = ".net:443/"
    for entity in parsed["entities"]:
        paths = [p["location"].split(marker, 1)[1].split("/", 1)[1] for p in entity["partitions"]]
        yield entity["name"], [a["name"] for a in entity["attributes"]], paths


def living(columns, files):
    """The rows of a table's files by id, as a consumer takes them: the newest of an id counts, unless it is a delete."""
    newest = {}
    for content in files:
        for record in csv.reader(io.StringIO(content.decode("utf-8"), newline="")):
            assert len(record) == len(columns)
            row = dict(zip(columns, record))
            known = newest.get(row["Id"])
            if known is None or int(known["versionnumber"]) < int(row["versionnumber"]):
                newest[row["Id"]] = row
    return {key: row for key, row in newest.items() if row.get("IsDelete") != "True"}


def assert_equal(table, found, wanted):
    """Compares row by row and cell by cell."""
    assert found.keys() == wanted.keys(), table
    for key, row in wanted.items():
        for column, value in row.items():
            if column not in ENGINE_COLUMNS:
                assert found[key][column] == value, (table, key, column)


def assert_lake(read, model, folder):
    """Checks a whole lake that `read` gets a file of by its path."""
    tables = 0
    for table, columns, paths in entities(model):
        assert [c for c in columns if c not in ENGINE_COLUMNS] == [
            c for c in column_names(table) if c not in ENGINE_COLUMNS
        ]
        assert_equal(table, living(columns, [read(path) for path in paths]), rows(table, folder))
        tables += 1
    assert tables == 4
