"""How Parquet files are written."""

import pyarrow as pa
import pyarrow.parquet

from analysis.ledger.columns import parquet_bytes


def test_a_table_in_many_chunks_gives_the_bytes_of_one_in_one() -> None:
    text = pa.array([f"{number} {2000 * chr(97 + number % 7)}" for number in range(3000)])
    whole = pa.table({"line": text, "score": pa.array(range(3000), pa.float64())})
    parts = pa.concat_tables([whole.slice(0, 700), whole.slice(700, 1111), whole.slice(1811)])
    assert parquet_bytes(parts) == parquet_bytes(whole)
    assert pyarrow.parquet.read_table(pa.BufferReader(parquet_bytes(whole))).equals(whole)
