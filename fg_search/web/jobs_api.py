"""The JSON API for jobs and for the history of the index's quality."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fg_search.index.quality_history import QualityEntry
from fg_search.web.errors import error_responses
from fg_search.web.index_jobs import JobKind, start, told
from fg_search.web.jobs import Job, JobState
from fg_search.web.judged_queries import MOST_JUDGED, Judged, JudgedQuery
from fg_search.web.security import API_PATH
from fg_search.web.site import Site

_JOBS = "/jobs"
UPLOAD_PATH = f"{API_PATH}{_JOBS}"


class JobRequest(BaseModel):
    """A job to start."""

    model_config = ConfigDict(extra="forbid")

    kind: JobKind = Field(
        description="`calibrate` or `evaluate` (and keep the figures) on judged queries, `estimate` a calibration from "
        "the items, `score` labels and items, or `refit` the head on the items as they are."
    )
    judged: Annotated[list[JudgedQuery], Field(min_length=1, max_length=MOST_JUDGED)] | None = Field(
        None, description="Judged queries, for `calibrate` and `evaluate`."
    )


class JobBody(BaseModel):
    """A job."""

    id: str
    kind: str
    reviewer: str = Field(description="Who has started it.")
    started: str
    state: JobState
    task: str = Field(description="What is being done now; empty while that is not known.")
    told: str = Field(description="How far it is, in a line.")
    done: int = Field(description="How much of the task is done.")
    total: int | None = Field(description="Of how much, if that is known.")
    stopping: bool = Field(description="Whether it was asked to stop.")
    said: list[str] = Field(description="What came of it, or why it failed.")

    @classmethod
    def of(cls, job: Job) -> JobBody:
        """Convert a job."""
        return cls.model_validate({**vars(job), "told": told(job)})


def router(site: Site) -> APIRouter:
    """Routes for jobs and history."""
    routes = APIRouter(prefix=API_PATH)
    reads, writes = error_responses(takes_body=False), error_responses(takes_body=True)

    @routes.get(_JOBS, summary="Jobs", tags=["jobs"], responses=reads)
    def jobs() -> list[JobBody]:
        """The last twenty jobs since the server was started, the latest first."""
        return [JobBody.of(job) for job in site.jobs.all()]

    @routes.post(_JOBS, summary="Start a job", tags=["jobs"], status_code=202, responses=writes)
    def begin(request: JobRequest) -> JobBody:
        """Start a job in the background, if none is running."""
        return JobBody.of(start(site, request.kind, None if request.judged is None else Judged.of_json(request.judged)))

    @routes.post(f"{_JOBS}/stop", summary="Stop the running job", tags=["jobs"], responses=writes)
    def stop() -> JobBody:
        """Ask the running job to stop where that is safe; nothing is lost, and it can be started again."""
        return JobBody.of(site.jobs.stop())

    @routes.get("/history", summary="History of the quality", tags=["jobs"], responses=reads)
    def history() -> list[QualityEntry]:
        """What was calibrated and measured, and how good the index was then, the oldest first."""
        return site.index.history()

    return routes
