"""Writes a table again with pyarrow, then hashes the file; prints what each took as JSON.

Usage: write.py TABLE COPY. The table is in memory as Arrow before any clock starts.
"""

import json
import os
import sys
from time import perf_counter

import pyarrow.parquet as pq

source, copy = sys.argv[1:]
table = pq.read_table(source)
text = [pq.read_metadata(source).row_group(0).column(at) for at in range(table.num_columns)]
text = next(column for column in text if column.path_in_schema == "text")
distinct = {"judgement_id", "seed", "text", "text_digest"}


def blake(path):
    try:
        import blake3
    except ImportError:
        import hashlib

        with open(path, "rb") as file:
            return "BLAKE2b", hashlib.file_digest(file, "blake2b").hexdigest()
    return "BLAKE3", blake3.blake3(max_threads=blake3.blake3.AUTO).update_mmap(path).hexdigest()


start = perf_counter()
pq.write_table(
    table,
    copy,
    compression="zstd",
    compression_level=1,
    use_dictionary=[name for name in table.column_names if name not in distinct],
    row_group_size=122_880,
)
written = perf_counter()
hash_name, _ = blake(copy)
hashed = perf_counter()
with open(copy, "rb+") as file:
    os.fsync(file.fileno())
synced = perf_counter()

json.dump(
    {
        "write": written - start,
        "hash": hashed - written,
        "sync": synced - hashed,
        "hash_name": hash_name,
        "bytes": os.path.getsize(copy),
        "text_ratio": text.total_uncompressed_size / text.total_compressed_size,
    },
    sys.stdout,
)
