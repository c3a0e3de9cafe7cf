"""What jobs do with an index: calibrate it, measure it, score its items, give it a new head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from fg_search.index.calibration import TARGETS, Calibration
from fg_search.web.jobs import Job
from fg_search.web.judged_queries import Judged
from fg_search.web.site import Site

JobKind = Literal["calibrate", "estimate", "evaluate", "score", "refit"]

NAMES: dict[str, str] = {
    "calibrate": "Calibration on judged queries",
    "estimate": "Calibration on the items",
    "evaluate": "Evaluation on judged queries",
    "score": "Scores of labels and items",
    "refit": "New head",
}
TASKS = {"read": "reading items", "encode": "encoding", "embed": "encoding", "fit": "fitting", "index": "writing items"}
_OF_ALL = ("calibrate", "estimate", "refit")  # what concerns the items of all tenants
_STAMP = re.compile(r"-\d{8}-\d{6}")


def kinds_for(site: Site) -> list[JobKind]:
    """Jobs that may be started on a page: on that of a tenant, those that concern its items alone."""
    return [kind for kind in get_args(JobKind) if site.tenant is None or kind not in _OF_ALL]


def told(job: Job) -> str:
    """How far a job is, in a line."""
    if not job.task:
        return "Begun."
    what = TASKS.get(job.task, job.task)
    done = f"{job.done:,}" if job.total is None else f"{job.done:,} of {job.total:,}"
    is_over = job.total is not None and job.done >= job.total
    return f"{what[0].upper()}{what[1:]}: {done}{', and going on' if is_over else ''}"


def start(site: Site, kind: JobKind, judged: Judged | None) -> Job:
    """Start a job as the reviewer.

    Args:
        site: The index.
        kind: What to do.
        judged: Judged queries, which some jobs need, and no other takes.

    Raises:
        JobRunningError: If another one is running.
        ValueError: If it cannot be started like this.
    """
    if kind not in kinds_for(site):
        raise ValueError(
            f"calibration and head are those of all tenants, and this is the page of {site.tenant}; use the command "
            "line: fg-search calibrate, or fg-search fit --refresh"
        )
    if (judged is None) == (kind in ("calibrate", "evaluate")):
        raise ValueError(f"{kind} {'needs' if judged is None else 'takes no'} judged queries")
    reviewer = site.reviewer
    if judged is not None:
        work = partial(_calibrate if kind == "calibrate" else _evaluate, site, judged, reviewer)
    elif kind == "refit":
        work = partial(_refit, site, _new_folder(site))
    else:
        work = partial(_estimate, site, reviewer) if kind == "estimate" else partial(_score, site)
    return site.jobs.start(kind, NAMES[kind], reviewer, work)


def _calibrate(site: Site, judged: Judged, reviewer: str) -> Sequence[str]:
    learned = site.index.calibrate(judged.queries, judged.relevant, reviewer=reviewer)
    return [f"{learned.queries:,} queries, judged by {learned.relevant_by}.", _promised(learned), *judged.notes]


def _estimate(site: Site, reviewer: str) -> Sequence[str]:
    learned = site.index.calibrate(reviewer=reviewer)
    return [f"{learned.queries:,} items, taken for queries.", _promised(learned)]


def _promised(learned: Calibration) -> str:
    kept = [threshold for target in TARGETS if (threshold := learned.threshold(target))]
    if not kept:
        return "No precision of 80% or more can be promised."
    told = (f"{one.target:.0%} right answers to {one.coverage:.0%} of the queries" for one in kept)
    return f"Promised: {', '.join(told)}."


def _evaluate(site: Site, judged: Judged, reviewer: str) -> Sequence[str]:
    found = site.index.evaluate(judged.queries, judged.relevant, keep=True, reviewer=reviewer)
    report = next(iter(found.reports.values()))
    right = f"The first hit is right for {report.recall_at_1:.1%} of the {report.in_scope:,} queries with an answer"
    return [f"{right}; AUROC {report.auroc:.3f}.", *judged.notes]


def _score(site: Site) -> Sequence[str]:
    found: list[object] = [site.index.score_items()]
    if site.index.labels(1):
        found.append(site.index.score_labels())
    return [f"{one}." for one in found]


def _refit(site: Site, folder: Path) -> Sequence[str]:
    was_calibrated = site.index.calibration is not None
    site.index.refit(folder)
    said = [f"The index has moved to the new head, saved in {folder}."]
    return [*said, "Its calibration was for the old one: calibrate again."] if was_calibrated else said


def _new_folder(site: Site) -> Path:
    """A folder beside that of the present encoder. Nobody names it, since a page must not write just anywhere.

    Raises:
        ValueError: If there is none.
    """
    known = site.index.metadata.encoder
    if known is None or not Path(known).parent.is_dir():
        raise ValueError(
            f"there is no folder beside that of the encoder, {known or 'which was never saved'}, for a new one; fit it "
            "on the command line: fg-search fit --refresh"
        )
    return Path(known).with_name(f"{_STAMP.sub('', Path(known).name)}-{datetime.now():%Y%m%d-%H%M%S}")
