"""How the Parquet files are written, and what they say of themselves."""

import pyarrow as pa
import pyarrow.parquet

from analysis.facts import Facts
from cktf.rows import SCHEMA_VERSION

VERSION_KEY = b"cktf.schema_version"
FACTS_KEY = b"cktf.facts"

SCHEMA_METADATA = {VERSION_KEY: str(SCHEMA_VERSION).encode()}
"""Metadata of every table: the version of its schema."""


def metadata_of(facts: Facts) -> dict[bytes, bytes]:
    """Return the metadata of a table that carries the facts of its run."""
    return {**SCHEMA_METADATA, FACTS_KEY: facts.to_json().encode()}


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a table as a Parquet file, the same for the same table however it lies in memory.

    Floats and moments hardly repeat, so their bytes are sorted, not looked up.
    """
    table = table.combine_chunks()  # a page of the file would end where a chunk does
    hardly = [
        field.name for field in table.schema if pa.types.is_floating(field.type) or pa.types.is_timestamp(field.type)
    ]
    others = [name for name in table.column_names if name not in hardly]
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink, compression="zstd", use_dictionary=others, use_byte_stream_split=hardly)
    content: bytes = sink.getvalue().to_pybytes()
    return content
