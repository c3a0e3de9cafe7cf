"""Issues of items as a table of cleanlab's Datalab."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from fg_search.ids import UserId
from fg_search.review.exports.spreadsheet import escape
from fg_search.review.items import ReviewItem

_DECIMALS = 4  # of stored scores
_NO_ISSUE: dict[str, Any] = {
    "is_label_issue": False,
    "label_score": None,
    "given_label": None,
    "predicted_label": None,
    "is_outlier_issue": False,
    "outlier_score": None,
    "is_near_duplicate_issue": False,
    "near_duplicate_score": None,
    "near_duplicate_sets": (),
}


def to_cleanlab(items: Iterable[ReviewItem]) -> dict[str, list[Any]]:
    """Return the columns of a table of issues, named as in cleanlab's Datalab, e.g. for ``pandas.DataFrame``.

    There is one row per item, whatever lists it is on. As in Datalab, scores are in [0, 1] and low where there is an
    issue; a score is ``None`` if the item is not listed for that issue. ``label_score`` is the probability that the
    given label is right, and below one half it is a label issue. ``outlier_score`` is the cosine to the tenth nearest
    item. ``near_duplicate_score`` is one minus the cosine to the nearest copy, and ``near_duplicate_sets`` holds the
    ids of some copies.

    Args:
        items: Items of the kinds contradicted, outlier, conflicting and duplicate. If an item is listed several times
            for a kind, the last one counts.
    """
    rows: dict[UserId, dict[str, Any]] = {}
    for item in items:
        row = rows.setdefault(item.id, {"id": item.id, **_NO_ISSUE, "given_label": item.label})
        row.update(_issue(item, row))
    return {column: [row[column] for row in rows.values()] for column in ("id", *_NO_ISSUE)}


def _issue(item: ReviewItem, row: Mapping[str, Any]) -> dict[str, Any]:
    if item.kind == "contradicted":
        right = round(1 - item.score, _DECIMALS)
        is_other = (item.suggested_probability or 0) > right
        return {
            "is_label_issue": item.score > 1 / 2,
            "label_score": right,
            "predicted_label": item.suggested_label if is_other else item.label,
        }
    if item.kind == "outlier":
        return {"is_outlier_issue": True, "outlier_score": round(1 - item.score, _DECIMALS)}
    if item.kind in ("conflicting", "duplicate"):
        farther = row["near_duplicate_score"]
        score = 0.0 if item.kind == "duplicate" else round(1 - item.score, _DECIMALS)
        copies = [example.id for example in (*item.agreeing, *item.contradicting)]
        return {
            "is_near_duplicate_issue": True,
            "near_duplicate_score": score if farther is None else min(score, farther),
            "near_duplicate_sets": tuple(dict.fromkeys([*row["near_duplicate_sets"], *copies])),
        }
    return {}


def to_cleanlab_csv(items: Iterable[ReviewItem]) -> str:
    """Return the table of :func:`to_cleanlab` as CSV; ``None`` is an empty cell, a set is a JSON list.

    Text that a spreadsheet would run as a formula is prefixed with a single quote.
    """
    columns = to_cleanlab(items)
    columns["near_duplicate_sets"] = [
        json.dumps(ids, ensure_ascii=False) if ids else None for ids in columns["near_duplicate_sets"]
    ]
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow(columns)
    writer.writerows(map(escape, row) for row in zip(*columns.values(), strict=True))
    return target.getvalue()
