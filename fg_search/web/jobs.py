"""Long work in the background, one at a time: it goes on when the browser is closed, and tells how far it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from threading import Lock, Thread
from typing import Literal, TypeAlias
from uuid import uuid4

from fg_search.errors import FgSearchError
from fg_search.model.progress import watched

JobState = Literal["running", "done", "stopped", "failed"]
Work: TypeAlias = Callable[[], Sequence[str]]
"""Does the work, and returns what came of it, in sentences."""

_REMEMBERED = 20  # jobs
_PATIENCE = 30.0  # seconds that the end of the server waits for a job to stop
_LOG = logging.getLogger("fg_search.web")


class JobRunningError(FgSearchError):
    """Another job is running, or none is that could be stopped."""


class _StoppedError(Exception):
    """Ends the work of a job that was asked to stop."""


@dataclass
class Job:
    """A job.

    Attributes:
        kind: What it does.
        name: The same, for people.
        reviewer: Who has started it.
        id: What tells it from others.
        started: When, in ISO 8601.
        state: ``"running"``, ``"done"``, ``"stopped"`` or ``"failed"``.
        task: What is being done now; empty while that is not known.
        done: How much of it is done.
        total: Of how much, ``None`` if that is not known.
        stopping: Whether it was asked to stop.
        said: What came of it, or why it failed, in sentences.
    """

    kind: str
    name: str
    reviewer: str
    id: str = field(default_factory=lambda: uuid4().hex)
    started: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    state: JobState = "running"
    task: str = ""
    done: int = 0
    total: int | None = None
    stopping: bool = False
    said: Sequence[str] = ()


class Jobs:
    """Jobs of one index, of which one runs at a time.

    Args:
        ended: Called when a job has ended, in whatever way.
    """

    def __init__(self, ended: Callable[[], object]) -> None:
        self._ended = ended
        self._lock = Lock()
        self._jobs: list[Job] = []
        self._thread: Thread | None = None

    @property
    def latest(self) -> Job | None:
        """The job that runs, or the one that ran last; ``None`` if none has."""
        return self._jobs[-1] if self._jobs else None

    def all(self) -> list[Job]:
        """The last twenty jobs since the server was started, the latest first."""
        return self._jobs[::-1]

    def start(self, kind: str, name: str, reviewer: str, work: Work) -> Job:
        """Start a job.

        Raises:
            JobRunningError: If one is running.
        """
        with self._lock:
            latest = self.latest
            if latest is not None and latest.state == "running":
                raise JobRunningError(
                    f"{latest.name}, started by {latest.reviewer}, is running; wait until it is done, or stop it"
                )
            job = Job(kind, name, reviewer)
            self._jobs = [*self._jobs, job][-_REMEMBERED:]
            # a daemon, so that work that cannot be stopped at once does not keep the process from ending
            self._thread = Thread(target=self._run, args=(job, work), name="fg-search-job", daemon=True)
            self._thread.start()
            return job

    def stop(self) -> Job:
        """Ask the running job to stop. It does so where it next tells of its progress, and nowhere else.

        Raises:
            JobRunningError: If none is running.
        """
        latest = self.latest
        if latest is None or latest.state != "running":
            raise JobRunningError("no job is running that could be stopped")
        latest.stopping = True
        return latest

    def close(self) -> None:
        """Ask the running job to stop, and wait for that, since whoever asks closes the index next."""
        latest, thread = self.latest, self._thread
        if latest is None or thread is None or not thread.is_alive():
            return
        latest.stopping = True
        _LOG.warning("%s: running, and stopped with the server", latest.name)
        thread.join(_PATIENCE)
        if thread.is_alive():
            _LOG.error("%s: not stopped within %g seconds; the server ends without it", latest.name, _PATIENCE)

    def _run(self, job: Job, work: Work) -> None:
        def note(task: str, done: int, total: int | None) -> None:
            job.task, job.done, job.total = task, done, total
            if job.stopping:
                raise _StoppedError

        state: JobState = "failed"
        try:
            with watched(note):
                job.said = work()
            state = "done"
        except _StoppedError:
            state = "stopped"
        except (FgSearchError, ValueError, OSError) as error:
            job.said = [str(error)]
        except Exception:
            _LOG.exception("%s failed", job.name)
            # an internal message may reveal what users must not see
            job.said = ["Something unexpected went wrong; the server's log says what."]
        finally:
            self._ended()
            job.state = state
