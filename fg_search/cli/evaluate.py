"""``evaluate``: measure on judged queries how far to trust an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fg_search import display
from fg_search.cli.console import console, log, print_json, timed
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    AsJson,
    BatchSize,
    ByWhom,
    Collection,
    ConfidenceWeight,
    Delimiter,
    EncoderFolder,
    Encoding,
    FamiliarityWeight,
    Ids,
    IndexLocation,
    MinConfidence,
    MinFamiliarity,
    OnError,
    OutOfScope,
    QueryFiles,
    RankByOption,
    Relevant,
    RelevantBy,
    RelevantWithin,
    RetryFor,
    Tenant,
    TextColumn,
    TrustRemoteCode,
    open_index,
    search_options,
    text_form,
)
from fg_search.cli.rows import queries_of
from fg_search.cli.vectors import Vectors, text_column, vector_column, vectors_of

if TYPE_CHECKING:
    from fg_search.evaluation import Slice
    from fg_search.index.evaluation import IndexEvaluation


def evaluate(
    context: typer.Context,
    location: IndexLocation,
    queries: QueryFiles,
    relevant: Relevant = ["label"],  # noqa: B006  typer copies it
    relevant_by: RelevantBy = "auto",
    relevant_within: RelevantWithin = 1,
    ids: Ids = None,
    out_of_scope: OutOfScope = None,
    text: TextColumn = ["text"],  # noqa: B006  typer copies it
    vectors: Vectors = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    on_error: OnError = "skip",
    min_confidence: MinConfidence = None,
    confidence_weight: ConfidenceWeight = 0.0,
    min_familiarity: MinFamiliarity = None,
    familiarity_weight: FamiliarityWeight = 0.0,
    rank_by: RankByOption = "auto",
    encoder: EncoderFolder = None,
    trust_remote_code: TrustRemoteCode = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Draw diagrams into this folder, as PNG and SVG: risk_coverage, reliability (of a calibrated index), "
            "confused_labels (of queries judged by label), confidence (of the items) and one for each --slice. "
            "Existing files are replaced.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="Write a report into this HTML file, which needs no network.", show_default=False
        ),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            help="Precision by: label (of the top hit), length (of the query in words), tenant, a column of the query "
            "file, or hit.KEY for a payload key of the top hit. Repeatable.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the figures with the index, for `fg-search history` and the page.")
    ] = False,
    reviewer: ByWhom = "anonymous",
    as_json: AsJson = False,
    batch_size: BatchSize = None,
) -> None:
    """Measure on judged queries how often an index is right and how well its confidence shows it."""
    from fg_search.index.evaluation import is_known

    options = search_options(
        min_confidence=min_confidence,
        confidence_weight=confidence_weight,
        min_familiarity=min_familiarity,
        familiarity_weight=familiarity_weight,
        rank_by=rank_by,
    )
    by = list(dict.fromkeys(slices or ()))
    judged = queries_of(
        queries,
        on_error,
        text=text_column(context, queries[0], text, vectors),
        vector=vector_column(vectors),
        relevant=relevant,
        out_of_scope=out_of_scope or (),
        ids=ids,
        form=text_form(delimiter, encoding),
    )
    columns = {name: judged.column(name) for name in by if not is_known(name)}
    if plots is not None:
        from fg_search.plots import check_matplotlib

        check_matplotlib()
        plots.mkdir(parents=True, exist_ok=True)
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
    with (
        open_index(
            location, encoder, collection, api_key, retry_for=retry_for, trust_remote_code=trust_remote_code
        ) as opened,
        timed(f"evaluated {len(judged.records):,} queries"),
    ):
        target = opened if tenant is None else opened.tenant(tenant)
        found = target.evaluate(
            judged.texts,
            judged.answers,
            relevant_by=relevant_by,
            relevant_within=relevant_within,
            slices=columns,
            vectors=vectors_of(judged.records, vectors, queries[0]),
            keep=keep,
            reviewer=reviewer,
            batch_size=batch_size,
            **options,
        )
        for name in by:  # a payload key that no hit has is told before anything is printed
            found.slices(name)
        histogram = () if plots is None else target.info().confidence_histogram
    if as_json:
        figures = {one.name: getattr(found, one.name) for one in fields(found) if one.name != "outcomes"}
        print_json({**figures, "intervals": found.intervals, "slices": _slices(found, by)})
    else:
        display.evaluation(console, found, by)
    if report is not None:
        name = collection if "://" in location else Path(location).resolve().name  # a URL may hold a password
        title = f"Evaluation of {name}" + ("" if tenant is None else f", {tenant}")
        report.write_text(found.to_html(title=title, by=by or None), encoding="utf-8")
        log.print(f"report in {report}", markup=False, soft_wrap=True)
    if plots is not None:
        _draw(found, histogram, by, plots)


def _slices(found: IndexEvaluation, by: Sequence[str]) -> list[Slice]:
    """All slices, first with every query answered, then at each target precision."""
    targets = [None, *(each.target for each in found.precisions)]
    return [each for name in by for target in targets for each in found.slices(name, target=target)]


def _draw(found: IndexEvaluation, histogram: Sequence[int], by: Sequence[str], folder: Path) -> None:
    """Draw all diagrams and write them to files."""
    from fg_search.plots import confidence_histogram, evaluation_figures, save

    figures = {**evaluation_figures(found, by), "confidence": confidence_histogram(histogram)}
    for name, figure in figures.items():
        for ending in ("png", "svg"):
            save(figure, folder / f"{name}.{ending}")
    log.print(f"diagrams in {folder}: {', '.join(figures)} (.png, .svg)", markup=False, soft_wrap=True)
