"""Polars, DuckDB and deltalake beside the engine: `peers.py FOLDER`.

FOLDER holds the files of a snapshot, `<year>.csv` without a header. Each line of the input is a command with its
arguments; each line of the output is an object with the `seconds` it took, or with what is `missing`.
"""

import glob
import json
import os
import shutil
import sys
import time

COLUMNS = ["Id", "SinkCreatedOn", "SinkModifiedOn", "taskid", "createdon", "notes", "versionnumber"]


def synced(path):
    """Puts a file that was written on the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


class Peers:
    def __init__(self, folder):
        self.folder = folder
        self.years = sorted(os.path.basename(path)[:-4] for path in glob.glob(f"{folder}/*.csv"))
        self.out = f"{folder}/out"
        os.makedirs(self.out, exist_ok=True)

    def source(self, year):
        return f"{self.folder}/{year}.csv"

    def target(self, year):
        return f"{self.out}/{year}.csv"

    def load_polars(self):
        import polars

        types = {name: polars.Int64 if name == "versionnumber" else polars.String for name in COLUMNS}
        read = lambda year: polars.read_csv(self.source(year), has_header=False, schema=types)
        self.frames = {year: read(year) for year in self.years}

    def polars_csv(self):
        for year, frame in self.frames.items():
            frame.write_csv(self.target(year), include_header=False, quote_style="non_numeric")
            synced(self.target(year))

    def free_polars(self):
        del self.frames

    def load_duckdb(self):
        import duckdb

        self.database = duckdb.connect(f"{self.folder}/peer.duckdb")
        types = {name: "BIGINT" if name == "versionnumber" else "VARCHAR" for name in COLUMNS}
        self.database.execute("CREATE OR REPLACE TABLE task AS " + " UNION ALL ".join(
            f"SELECT *, '{year}' AS year FROM read_csv('{self.source(year)}', header = false, columns = {types})"
            for year in self.years))
        self.database.execute("CHECKPOINT")

    def duckdb_copy(self, years=None):
        for year in years or self.years:
            query = f"SELECT * EXCLUDE (year) FROM task WHERE year = '{year}'"
            self.database.execute(f"COPY ({query}) TO '{self.target(year)}' (HEADER false, FORCE_QUOTE *)")
            synced(self.target(year))

    def changes(self, ids):
        """What is to change, as a table; not part of what is timed."""
        self.database.execute(
            f"""CREATE OR REPLACE TEMP TABLE changes AS SELECT DISTINCT task.* REPLACE ('changed' AS notes)
            FROM task JOIN read_csv('{ids}', header = false, columns = {{'id': 'VARCHAR'}}) AS ids ON task.Id = ids.id""")
        self.changed = self.database.sql("SELECT * FROM changes").to_arrow_table()

    def duckdb_merge(self):
        self.database.execute(
            """MERGE INTO task USING changes ON task.Id = changes.Id AND task.year = changes.year
            WHEN MATCHED THEN UPDATE SET notes = changes.notes, versionnumber = changes.versionnumber""")
        touched = self.database.execute("SELECT DISTINCT year FROM changes").fetchall()
        self.duckdb_copy([year for (year,) in touched])

    def load_delta(self):
        import deltalake

        path = f"{self.folder}/delta"
        shutil.rmtree(path, ignore_errors=True)
        rows = self.database.sql("SELECT * FROM task").to_arrow_reader(100_000)
        deltalake.write_deltalake(path, rows, partition_by=["year"])
        self.delta = deltalake.DeltaTable(path)

    def delta_merge(self):
        merge = self.delta.merge(
            self.changed, "t.year = s.year AND t.Id = s.Id", source_alias="s", target_alias="t")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()


def main():
    peers = Peers(sys.argv[1])
    for line in sys.stdin:
        command, *arguments = line.split()
        start = time.perf_counter()
        try:
            getattr(peers, command)(*arguments)
            answer = {"seconds": time.perf_counter() - start}
        except Exception as error:
            answer = {"missing": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), flush=True)


main()
