"""Publishes the same rows in every layout, with values that readers of CSV get wrong, and knows what they are.

`state` asks the engine for its rows; `test_row_by_row.py` compares what each reader finds with them.
"""

import copy
import json
import os
import pathlib
import subprocess

import expected

PROGRAM = os.environ.get("LAKESTAGE_BIN")
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# A link each: one filesystem holds one model.json.
ACCOUNTS = {
    "classic": "devstoreaccount1", "appended": "appended", "folders": "folders", "both": "both", "parquet": "parquet",
}
FILESYSTEM = "dataverse-contoso-org1"

TEXTS = [
    "plain", "with, comma", ",", 'say "hi"', '"', '""', '","', "'", "line\nbreak", "line\r\nbreak", "\n", '"\n"',
    "a,\n\"b\",\n", " leading", "trailing ", "\ttab\t", "Zoë", "日本語", "🙂 and ́", "\ufeffmark", "\u2028", "\u0085",
    "\\", "\\\"", "\\N", "NULL", "null", "NaN", "NA", "None", "True", "0001", "1e5", "-", "=1+1", "#", "# no comment", "|",
    ";", "\x01", "x" * 3000,
]
MIXED = {
    "name": "mixed",
    "primaryKey": "mixedid",
    "columns": [
        {"name": "statecode", "type": "state", "options": [{"value": 0, "label": "On"}, {"value": 1, "label": "Off"}]},
        {"name": "statuscode", "type": "status", "options": [
            {"value": 1, "label": "On", "state": 0}, {"value": 2, "label": "Off", "state": 1}]},
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
        {"name": "text", "type": "memo", "maxLength": 100000},
        {"name": "empty", "type": "string", "maxLength": 10},
        {"name": "versionnumber", "type": "bigint"},
        {"name": "createdon", "type": "datetime"},
        {"name": "mixedid", "type": "uniqueidentifier"},
    ],
}
RAGGED = {
    "name": "ragged",
    "primaryKey": "raggedid",
    "columns": [
        {"name": "raggedid", "type": "uniqueidentifier"},
        {"name": "createdon", "type": "datetime"},
        {"name": "name", "type": "string", "maxLength": 100},
        {"name": "versionnumber", "type": "bigint"},
    ],
}
LATER = [{"name": "later", "type": "string", "maxLength": 100}, {"name": "count", "type": "integer"}]
# No createdon: append-only, in 1.csv.
UNDATED = {
    "name": "undated",
    "primaryKey": "undatedid",
    "columns": [
        {"name": "undatedid", "type": "uniqueidentifier"},
        {"name": "listid", "type": "lookup", "targets": ["list"]},
        {"name": "note", "type": "string", "maxLength": 4000},
        {"name": "versionnumber", "type": "bigint"},
    ],
}
# More than fits into one file.
LONG = {
    "name": "long",
    "primaryKey": "longid",
    "columns": [
        {"name": "longid", "type": "uniqueidentifier"},
        {"name": "createdon", "type": "datetime"},
        {"name": "text", "type": "memo", "maxLength": 1000000},
        {"name": "versionnumber", "type": "bigint"},
    ],
}
TABLES = {"mixed": MIXED, "ragged": RAGGED, "undated": UNDATED, "long": LONG}
LIMIT = ["--file-bytes", "1048576"]


def _id(number):
    # Spread, so that the order of ids is not the order in which rows come.
    return f"{(number * 2654435761) % (1 << 32):08x}-{number:04x}-4000-8000-00000000abcd"


def _mixed(number, text):
    row = {"mixedid": _id(number), "line": text, "text": text * 2, "empty": ""}
    row["createdon"] = f"{2020 + number % 4}-{1 + number % 12:02}-0{1 + number % 9}T08:09:10Z"
    if number % 5 == 0:
        # All but the text is null.
        return row
    row |= {"statecode": number % 2, "statuscode": 1 + number % 2, "colour": [3, -4][number % 2], "flag": number % 3 == 0}
    row |= {"several": ["10", "10;20"][number % 2], "ownerid": _id(1000 + number), "ownerid_entitytype": "team"}
    row |= {"price": f"-{number}.25", "exact": f"{number}.0000000001", "rough": number / 8, "whole": -number}
    row |= {"large": 9007199254740993 + number, "day": "1753-01-01", "wall": "2024-02-29T23:59:59"}
    row["moment"] = "2024-02-29T23:59:59.1234567+02:00"
    return row


def _long(number, times):
    lines = f"{number}, \"{times}\"\r\n\n{'ä' * 500}" * 10 * times
    return {"longid": _id(number), "createdon": "2024-05-06T07:08:09Z", "text": lines}


class Rows:
    """The rows as they must be, by table and id, without asking the engine."""

    def __init__(self):
        self.schemas = copy.deepcopy(TABLES)
        self.tables = {name: {} for name in TABLES}

    def put(self, table, given):
        schema = self.schemas[table]
        row = self.tables[table].setdefault(given[schema["primaryKey"]], {})
        columns = {column["name"]: column for column in schema["columns"]}
        for name, value in given.items():
            text = value if value is None or isinstance(value, str) else json.dumps(value)
            row[name] = (expected.cell(columns[name], text) if name in columns else text) or None


class Published:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.rows = Rows()
        options = [f"--account={account}={KEY}" for account in ACCOUNTS.values() if account != "devstoreaccount1"]
        command = [PROGRAM, "--json", "--data", str(self.data), "serve", "--sync", "off", "--self-signed", "--blob-port", "0", "--dfs-port", "0"]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        serving = json.loads(self.process.stdout.readline())
        self.authority = serving["certificateAuthority"]
        # The same ports take plain requests.
        endpoints = (serving[f"{kind}Endpoint"].replace("https://", "http://") for kind in ("blob", "dfs"))
        self.blob, self.dfs = (endpoint.rsplit("/", 1)[0] for endpoint in endpoints)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0

    def run(self, *arguments, stdin=None):
        command = [PROGRAM, "--data", str(self.data), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, (arguments, done.stderr.decode())
        return done.stdout

    def table(self, verb, schema):
        path = self.folder / f"{schema['name']}.json"
        path.write_text(json.dumps(schema))
        self.run("table", *verb, str(path))

    def put(self, table, *rows):
        for row in rows:
            self.rows.put(table, row)
        lines = "\n".join(json.dumps(row) for row in rows)
        self.run("ingest", table, "--format", "jsonl", "--write", "upsert", stdin=lines.encode())

    def delete(self, table, *ids):
        key = TABLES[table]["primaryKey"]
        for row in ids:
            del self.rows.tables[table][row]
        lines = "\n".join(json.dumps({key: row}) for row in ids)
        self.run("ingest", table, "--format", "jsonl", "--write", "delete", stdin=lines.encode())

    def publish(self):
        for link in ACCOUNTS:
            self.run("snapshot", link)

    def fill(self):
        """Two rounds with a change of the schema between: rows come, change and go."""
        self.run("init", "contoso", "--organization", "org1")
        for schema in TABLES.values():
            self.table(["add"], schema)
        self.run("link", "new", "classic", "--table", "mixed,partition=month", "--table", "ragged", "--table", "undated",
                 "--table", "long", *LIMIT)
        self.run(
            "link", "new", "appended", "--to", "emulator:appended", "--table", "mixed,mode=append-only",
            "--table", "ragged,mode=append-only,deletes=original", "--table", "undated",
            "--table", "long,mode=append-only", *LIMIT,
        )
        for format in ("both", "parquet"):
            tables = ["--table=mixed", "--table=ragged", "--table=undated", "--table=long"]
            self.run("link", "new", format, "--to", f"emulator:{format}", "--format", format, *tables, *LIMIT)
        self.run("link", "new", "folders", "--to", "emulator:folders", "--incremental", "5m", "--all", *LIMIT)
        self.put("mixed", *(_mixed(number, text) for number, text in enumerate(TEXTS)))
        self.put("undated", *({"undatedid": _id(n), "note": text} for n, text in enumerate(TEXTS[:20])))
        self.put("long", *(_long(n, 10) for n in range(24)))
        self.put("ragged", *({"raggedid": _id(n), "createdon": f"{2021 + n % 2}-01-01T00:00:00Z", "name": f"old {n}"}
                             for n in range(12)))
        self.publish()
        wider = copy.deepcopy(RAGGED)
        wider["columns"] += LATER
        self.rows.schemas["ragged"] = wider
        self.table(["alter", "ragged"], wider)
        self.put("ragged", *({"raggedid": _id(n), "later": TEXTS[n], "count": n} for n in range(8, 12)))
        self.put("ragged", *({"raggedid": _id(n), "createdon": "2022-01-01T00:00:00Z", "later": "new"} for n in (20, 21)))
        self.delete("ragged", _id(0), _id(9))
        self.put("mixed", *({"mixedid": _id(n), "text": TEXTS[-2 - n], "price": None} for n in range(6)))
        self.put("long", *(_long(n, 12) for n in range(5, 19)))
        self.delete("long", _id(20))
        self.delete("mixed", *(_id(n) for n in range(10, 16)))
        self.put("undated", {"undatedid": _id(3), "note": None}, {"undatedid": _id(4), "note": "changed"})
        self.delete("undated", _id(5))
        self.publish()

    def state(self, link, table):
        """The engine's own rows, as cells: text, or `None` where nothing is stored."""
        lines = self.run("snapshot", "read", table, "--link", link, "--format", "jsonl").decode("utf-8").split("\n")
        rows = [json.loads(line, parse_int=str, parse_float=str) for line in lines if line]
        columns = self.columns(link)[table]
        cells = {True: "True", False: "False"}
        return [{c: cells.get(row.get(c), row.get(c)) for c in columns} for row in rows]

    def columns(self, link):
        return {entity["name"]: [a["name"] for a in entity["attributes"]] for entity in self.model(link)["entities"]}

    def read(self, link, path):
        return self.run("fs", "cat", f"abfss://{FILESYSTEM}@{ACCOUNTS[link]}.dfs.core.windows.net/{path}")

    def model(self, link, folder=""):
        return json.loads(self.read(link, f"{folder}model.json"))

    def files(self, link, location=lambda partition: partition["location"]):
        """Per table: its columns and the paths of its files, as `model.json` names them; of folders one after the other."""
        folders = [""]
        if link == "folders":
            folders = [f"{name}/" for name in self.read(link, "Changelog/Synapse.log").decode().split(",")]
        found = {table: (columns, []) for table, columns in self.columns(link).items()}
        for folder in folders:
            for entity in self.model(link, folder)["entities"]:
                for partition in entity["partitions"]:
                    host, path = location(partition).split(":443/", 1)
                    assert host == f"https://{ACCOUNTS[link]}.dfs.core.windows.net"
                    found[entity["name"]][1].append(path.removeprefix(f"{FILESYSTEM}/"))
        return found
