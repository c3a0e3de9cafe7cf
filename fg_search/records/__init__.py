"""Stream records from JSONL, CSV, TSV and Parquet files; errors name the file and the line."""

from fg_search.records.errors import OnError, RecordError, SkippedRows, stop
from fg_search.records.read import iterate_records, read_records
from fg_search.records.record import Record

__all__ = ["OnError", "Record", "RecordError", "SkippedRows", "iterate_records", "read_records", "stop"]
