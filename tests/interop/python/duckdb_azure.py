"""Reads files of the lake with DuckDB's own driver, in a process of its own: it is for another version of DuckDB.

Standard input has JSON with the connection string and the files, each with its columns; the rows go to standard output.
"""

import glob
import json
import os
import sys

import duckdb
import duckdb_extension_azure

asked = json.load(sys.stdin)
connection = duckdb.connect()
(extension,) = glob.glob(f"{os.path.dirname(duckdb_extension_azure.__file__)}/extensions/*/azure.duckdb_extension")
connection.execute(f"LOAD '{extension}'")
connection.execute(f"CREATE SECRET (TYPE azure, CONNECTION_STRING '{asked['connection']}')")
for file in asked["files"]:
    names = ", ".join(f"'{column}': 'VARCHAR'" for column in file["columns"])
    rows = connection.execute(
        f"SELECT * FROM read_csv('{file['url']}', header=false, delim=',', quote='\"', escape='\"', columns={{{names}}}, "
        f"null_padding=true, parallel=false, auto_detect=false, new_line='\\n')"
    )
    json.dump(rows.fetchall(), sys.stdout)
    print()
