"""``audit``: judge answers of the log by one key each, and see what that proves of the promised precision."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fg_search import display
from fg_search.cli.console import console, counted, log, print_json, report, say, warn
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    AsJson,
    Collection,
    IndexLocation,
    RetryFor,
    Tenant,
    open_index,
)
from fg_search.errors import DecisionConflictError

if TYPE_CHECKING:
    from fg_search.confidence_index import ConfidenceIndex
    from fg_search.queries.audit import AnswerAudit, JudgeAction

_KEYS: dict[str, JudgeAction] = {"y": "right", "n": "wrong", "s": "skip", "z": "reopen"}
_QUIT = ("q", "\x03", "\x04", "")


def audit(
    location: IndexLocation,
    target: Annotated[float, typer.Option(help="Promised precision to audit, between 0 and 1.")] = 0.95,
    limit: Annotated[int, typer.Option(min=1, help="Number of answers to judge at most.")] = 50,
    seed: Annotated[int, typer.Option(help="Random seed of the draws; keep to one.")] = 0,
    reviewer: Annotated[str, typer.Option(help="Name of who judges, for the log.")] = "anonymous",
    save: Annotated[
        Path | None,
        typer.Option(
            "--export",
            help="Judge nothing, and write the judged answers to this JSONL file, to calibrate on.",
            show_default=False,
        ),
    ] = None,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Judge answers drawn from the log of queries, one key each: y right, n wrong, s skip, z back, q quit.

    After each it says which precision is proved. If the promise of the calibration is refuted, the threshold is raised.
    Where the standard input is no terminal, it has the keys, one a line. `--json` judges nothing and prints where the
    audit stands. The log has to be one of all queries: `fg-search serve --log-all`, `fg-search search --log-all`.
    """
    if save is not None and save.exists():
        raise typer.BadParameter(f"there is a file {str(save)!r} already", param_hint="--export")
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        index = opened if tenant is None else opened.tenant(tenant)
        if save is not None:
            _export(index, save, as_json=as_json)
            return
        found = index.audit(target_precision=target, seed=seed)
        if as_json:
            print_json({**vars(found), "is_proved": found.is_proved, "is_refuted": found.is_refuted})
            return
        for _ in range(limit):
            after = _judge_one(index, found, reviewer, target, seed)
            if after is None:
                break
            found = after
    display.audit(console, found)


def _judge_one(
    index: ConfidenceIndex, found: AnswerAudit, reviewer: str, target: float, seed: int
) -> AnswerAudit | None:
    """Show the next answer and judge it. ``None`` if there is none, or no more are to be judged."""
    if not found.following:
        return None
    answer = found.following[0]
    display.audited_answer(console, answer)
    action = _asked()
    if action is None:
        return None
    if action == "reopen":
        if found.latest is None:
            warn("  nothing was judged that could be taken back")
            return found
        answer = found.latest
    try:
        after = index.judge_answer(answer, action, reviewer=reviewer, target_precision=target, seed=seed)
    except DecisionConflictError as error:
        warn(str(error))
        return index.audit(target_precision=target, seed=seed)
    say(f"  {after}")
    return after


def _asked() -> JudgeAction | None:
    """What the next key says, ``None`` to quit."""
    while True:
        log.print(r"  right? \[y/n/s/z/q] ", end="", style="bold")
        key = _key()
        if sys.stdin.isatty():
            log.print(key if key.isprintable() else "", markup=False)
        if key in _QUIT:
            return None
        if key in _KEYS:
            return _KEYS[key]


def _key() -> str:
    if sys.stdin.isatty():
        try:
            return typer.getchar().lower()
        except (EOFError, KeyboardInterrupt):
            return "q"
    line = sys.stdin.readline()
    return line.strip()[:1].lower() if line.strip() or not line else "?"


def _export(index: ConfidenceIndex, file: Path, *, as_json: bool) -> None:
    judged = index.judged_answers()
    column: Literal["label", "id"] = "label" if index.calibration is None else index.calibration.relevant_by
    with file.open("w", encoding="utf-8", newline="\n") as written:
        for answer in judged:
            written.write(json.dumps(answer.judged_row(column), ensure_ascii=False) + "\n")
    wrong = sum(answer.verdict == "wrong" for answer in judged)
    report(
        f"{counted(len(judged), 'judged answer', 'judged answers')} written to {file}",
        {"file": str(file), "answers": len(judged)},
        as_json=as_json,
    )
    if wrong:
        warn(f"{wrong:,} of them were wrong and have no right answer yet: fill in the {column} where there is one")
