"""Reads files of the lake with DuckDB's own driver, in a process of its own: it is for another version of DuckDB.

The argument is the connection string. Each line of standard input asks for a file with its columns, in JSON, and is
answered by a line with its rows.
"""

import glob
import json
import os
import sys

import duckdb
import duckdb_extension_azure

connection = duckdb.connect()
(extension,) = glob.glob(f"{os.path.dirname(duckdb_extension_azure.__file__)}/extensions/*/azure.duckdb_extension")
connection.execute(f"LOAD '{extension}'")
connection.execute(f"CREATE SECRET (TYPE azure, CONNECTION_STRING '{sys.argv[1]}')")
for line in sys.stdin:
    file = json.loads(line)
    names = ", ".join(f"'{column}': 'VARCHAR'" for column in file["columns"])
    rows = connection.execute(
        f"SELECT * FROM read_csv('{file['url']}', header=false, delim=',', quote='\"', escape='\"', columns={{{names}}}, "
        f"null_padding=true, parallel=false, auto_detect=false, new_line='\\n')"
    )
    print(json.dumps(rows.fetchall()), flush=True)
