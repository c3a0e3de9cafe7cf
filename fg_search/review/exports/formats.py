"""The formats that items to review are exported in, by name.

Every format keeps the type of an item's id, integer or string, so that answers are matched to their items.
"""

from __future__ import annotations

from typing import Literal

from fg_search.review.exports.cleanlab import to_cleanlab, to_cleanlab_csv
from fg_search.review.exports.csv_table import cell_id, csv_corrections, from_csv, to_csv
from fg_search.review.exports.jsonl import from_jsonl, jsonl_corrections, to_jsonl
from fg_search.review.exports.label_studio import (
    LABEL_STUDIO_CONFIG,
    from_label_studio,
    label_studio_corrections,
    to_label_studio,
)

__all__ = [
    "LABEL_STUDIO_CONFIG",
    "Form",
    "TableForm",
    "cell_id",
    "csv_corrections",
    "from_csv",
    "from_jsonl",
    "from_label_studio",
    "jsonl_corrections",
    "label_studio_corrections",
    "to_cleanlab",
    "to_cleanlab_csv",
    "to_csv",
    "to_jsonl",
    "to_label_studio",
]

Form = Literal["csv", "jsonl", "label-studio", "argilla"]  # formats that corrections can be read from
TableForm = Literal["csv", "jsonl", "label-studio", "argilla", "cleanlab"]
