"""Runs a query in DuckDB's own package over the views of a script; prints rows and seconds as JSON.

Usage: query.py SCRIPT QUERY. The views are there before the clock starts.
"""

import json
import sys
from pathlib import Path
from time import perf_counter

import duckdb

script, query = sys.argv[1:]
connection = duckdb.connect()
connection.execute(Path(script).read_text())
start = perf_counter()
rows = connection.execute(query).fetchall()
seconds = perf_counter() - start
json.dump({"seconds": seconds, "rows": rows, "version": duckdb.__version__}, sys.stdout)
