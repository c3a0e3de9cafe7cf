"""What all views share: the index, the reviewer, the templates, and CSRF-protected forms."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, HTTPException
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fg_search.confidence_index import ConfidenceIndex
from fg_search.index.query_vectors import Query
from fg_search.index.search_results import SearchResult
from fg_search.layout.settings import DEFAULT_COLLECTION
from fg_search.model.partition import spans
from fg_search.queries.audit import AnswerAudit, JudgeAction
from fg_search.queries.audited_answers import AuditedAnswer
from fg_search.queries.entries import LoggedQuery, QueryAction
from fg_search.report.environment import environment_of
from fg_search.review.decisions import ReviewDecision
from fg_search.web.item_map import ItemMap
from fg_search.web.jobs import Jobs
from fg_search.web.parameters import MAX_DECIDED, DecisionRequest
from fg_search.web.pictures import Pictures
from fg_search.web.security import STATIC_PATH
from fg_search.web.survey import Survey
from fg_search.web.tokens import CSRF_COOKIE, Signer, is_csrf_cookie

if TYPE_CHECKING:
    from fg_search.web.metrics import SearchMetrics  # of an extra of its own

reviewer_now: ContextVar[str | None] = ContextVar("reviewer_now", default=None)
"""Name that the browser keeps whose request is being answered, ``None`` if it keeps none."""

_MAX_FIELDS = 20  # of a form
_LOG = logging.getLogger("fg_search.web")
_LONGEST = 4_000  # characters shown of a long text


@dataclass(frozen=True)
class Site:
    """The index that is served, and what its views need.

    Attributes:
        index: The index, or the tenant's part of it.
        tenant: Tenant that is served, in an index with tenants.
        default_reviewer: Name under which decisions are logged where the browser keeps none.
        has_login: Whether users log in and out.
        signer: Signs forms.
        survey: Statistics of a sample of the items.
        map: The items in two dimensions.
        jobs: Long work in the background.
        metrics: Counts searches, ``None`` if nobody reads the counts.
        pictures: Pictures of items, ``None`` if no folder of them was given.
        deciding: Lock that serialises decisions on queries.
        templates: Jinja environment with autoescaping.
    """

    index: ConfidenceIndex
    tenant: str | None
    default_reviewer: str
    has_login: bool
    signer: Signer
    survey: Survey
    map: ItemMap
    jobs: Jobs
    metrics: SearchMetrics | None = None
    pictures: Pictures | None = None
    deciding: Lock = field(default_factory=Lock)
    templates: Environment = field(default_factory=lambda: _templates(), repr=False)

    @property
    def reviewer(self) -> str:
        """Name under which decisions of the request that is being answered are logged."""
        return reviewer_now.get() or self.default_reviewer

    @property
    def name(self) -> str:
        """Name of the index on the page: the last part of its folder or URL, and the tenant."""
        place = self.index.location.rstrip("/")
        name = place.rpartition("/")[2] if "://" in place else Path(place).name or place
        return name if self.tenant is None else f"{name}, {self.tenant}"

    @property
    def is_in_folder(self) -> bool:
        """Whether the index is in a folder, which this process alone can have open."""
        return "://" not in self.index.location and Path(self.index.location).is_dir()

    def command(self, name: str, options: str = "") -> str:
        """A line of the command line for this index.

        Args:
            name: The command, with its arguments.
            options: Options beside those that name the index.
        """
        named = {"--index": self.index.location, "--tenant": self.tenant}
        if self.index.collection != DEFAULT_COLLECTION:
            named["--collection"] = self.index.collection
        given = [f"{option} {shlex.quote(value)}" for option, value in named.items() if value is not None]
        return " ".join(["fg-search", name, *given, *([options] if options else [])])

    def picture_of(self, payload: Mapping[str, Any]) -> str | None:
        """Address of the picture that an item is, ``None`` if there is none to show."""
        return None if self.pictures is None else self.pictures.address_of(payload)

    def search(self, query: Query, **options: Any) -> SearchResult:
        """Call ``ConfidenceIndex.search``, and count it."""
        search = partial(self.index.search, query, **options)
        return search() if self.metrics is None else self.metrics.measured(search)

    def keep_unanswered(self, query: Query, reason: str) -> None:
        """Enter a query that the page did not answer into the log, where the index logs only what it doubts itself.

        A failure is only a warning, as for any query.
        """
        if self.index.logging != "uncertain":
            return
        try:
            self.index.report_missing(query, note=reason)
        except Exception as error:
            _LOG.warning("the log of %s lacks a query that was not answered: %s", self.index.location, error)

    def decide(self, asked: DecisionRequest) -> ReviewDecision:
        """Call ``ConfidenceIndex.decide`` as the reviewer."""
        decision = self.index.decide(
            asked.id,
            asked.action,
            asked.label,
            reviewer=self.reviewer,
            suggested=asked.suggested,
            latest=asked.latest,
            opinion_on=asked.opinion_on,
        )
        self._changed(decision)
        return decision

    def undo(self, number: int | None) -> ReviewDecision:
        """Call ``ConfidenceIndex.undo`` as the reviewer."""
        decision = self.index.undo(number, reviewer=self.reviewer)
        self._changed(decision)
        return decision

    def _changed(self, decision: ReviewDecision) -> None:
        self.survey.forget()
        self.map.changed(decision.id)

    def decide_queries(self, ids: Sequence[str], action: QueryAction, label: str | None) -> list[LoggedQuery]:
        """Call ``ConfidenceIndex.decide_queries`` as the reviewer."""
        with self.deciding:
            decided = self.index.decide_queries(ids, action, label, reviewer=self.reviewer)
        self.survey.forget()
        return decided

    def judge_answer(self, answer: AuditedAnswer, action: JudgeAction, target: float) -> AnswerAudit:
        """Call ``ConfidenceIndex.judge_answer`` as the reviewer."""
        with self.deciding:
            return self.index.judge_answer(answer, action, reviewer=self.reviewer, target_precision=target)

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Render a page, with the CSRF token for its forms."""
        known = request.cookies.get(CSRF_COOKIE)
        cookie = known if known is not None and is_csrf_cookie(known) else self.signer.new_csrf_cookie()
        text = self.templates.get_template(template).render(
            site=self, path=request.scope["path"], csrf=self.signer.csrf_token(cookie), **values
        )
        response = HTMLResponse(text, status)
        if cookie != known:
            set_cookie(response, request, CSRF_COOKIE, cookie)
        return response


def check_csrf(request: Request, token: str | None) -> None:
    """Check the CSRF token of a form.

    Raises:
        HTTPException: If it is missing or does not match.
    """
    signer: Signer = request.app.state.signer
    if not signer.csrf_fits(request.cookies.get(CSRF_COOKIE), token):
        raise HTTPException(403, "This form is out of date. Go back, reload the page, and send it again.")


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of a form, after checking its CSRF token.

    Raises:
        HTTPException: If the token is missing or does not match.
    """
    return dict(await _checked_pairs(request, _MAX_FIELDS))


async def form_lists(request: Request) -> dict[str, list[str]]:
    """The same of a form some of whose fields have several values."""
    lists: dict[str, list[str]] = {}
    for name, value in await _checked_pairs(request, _MAX_FIELDS + MAX_DECIDED):
        lists.setdefault(name, []).append(value)
    return lists


FormFields: TypeAlias = Annotated[dict[str, str], Depends(form_fields)]
FormLists: TypeAlias = Annotated[dict[str, list[str]], Depends(form_lists)]


def set_cookie(response: Response, request: Request, name: str, value: str, *, seconds: int | None = None) -> None:
    """Set a cookie that scripts cannot read and that browsers do not send with requests from other sites.

    Args:
        response: Response to set it in.
        request: Request that is answered.
        name: Name of the cookie.
        value: Its value.
        seconds: How long the browser keeps it; by default until it is closed.
    """
    secure = request.scope["scheme"] == "https"  # request.url would parse the Host header
    response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure, path="/")


def link(path: str, **parameters: Any) -> str:
    """A path with a query string of the parameters that have a value; lists are repeated parameters."""
    given = {name: value for name, value in parameters.items() if value not in (None, "", [])}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


async def _checked_pairs(request: Request, most: int) -> list[tuple[str, str]]:
    body = (await request.body()).decode("utf-8", "replace")
    try:
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=most)
    except ValueError as error:
        raise HTTPException(422, f"A form of at most {most:,} fields is expected.") from error
    check_csrf(request, dict(pairs).get("csrf"))
    return [(name, value) for name, value in pairs if name != "csrf"]


def _templates() -> Environment:
    environment = environment_of("fg_search.web")
    environment.globals.update(link=link, static=STATIC_PATH)
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    environment.filters["clip"] = _clip
    environment.filters["spans"] = spans
    return environment


def _clip(text: str, most: int = _LONGEST) -> str:
    """The beginning of a long text; the API returns all of it."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
