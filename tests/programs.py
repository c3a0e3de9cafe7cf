"""Programs in processes of their own, forked from one that has imported what most of them need: it takes a second."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# At the top level, as `python -c` would run the program: its names are those of __main__, and Python ends as it does.
_SERVER = """
import json, os, signal, socket, sys
import qdrant_client, fg_search.confidence_index, fg_search.edge.async_client, fg_search.model.embeddings

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
channel = socket.socket(fileno=int(sys.argv[1]))
while True:
    message, files, _, _ = socket.recv_fds(channel, 2**17, 4)
    if not message:
        os._exit(0)
    if os.fork():
        for file in files:
            os.close(file)
        continue
    channel.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        break
    for file in files[:3]:
        os.close(file)
    os.write(files[3], b"%d\\n" % child)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(files[3], b"%d" % code)
    os._exit(0)
os.close(files[3])
for number, file in enumerate(files[:3]):
    os.dup2(file, number)
    os.close(file)
program, *sys.argv[1:] = json.loads(message)
del channel, message, files, child, number, file
exec(compile(program, "<string>", "exec"))
"""


class Program:
    """A running program, with the part of ``subprocess.Popen`` that tests use.

    Attributes:
        stdin: What it reads, text.
        stdout: What it prints, text.
    """

    def __init__(self, programs: Programs, code: str, arguments: tuple[Any, ...]) -> None:
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        self._status = programs.launch(code, arguments, theirs_in, theirs_out, sys.__stderr__.fileno())
        os.close(theirs_in)
        os.close(theirs_out)
        self.stdin, self.stdout = os.fdopen(ours_in, "w", buffering=1), os.fdopen(ours_out)
        self._pid = int(self._status.readline())

    def kill(self) -> None:
        """End it at once."""
        os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end. Return its exit code, or the negative number of the signal that ended it."""
        with self._status, self.stdin, self.stdout:
            return int(self._status.readline())


class Programs:
    """Runs what ``python -c`` would run, in a process that has qdrant_client and fg_search without torch imported."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            command = [sys.executable, "-c", _SERVER, str(theirs.fileno())]
            self._server = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def start(self, code: str, *arguments: Any) -> Program:
        """Start a program."""
        return Program(self, code, arguments)

    def run(self, code: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; what it printed and its exit code."""
        with (
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
            Path(os.devnull).open() as nothing,
        ):
            with self.launch(code, arguments, nothing.fileno(), out.fileno(), err.fileno()) as status:
                *_, returncode = map(int, status)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(arguments, returncode, out.read(), err.read())

    def launch(self, code: str, arguments: tuple[Any, ...], stdin: int, stdout: int, stderr: int) -> Any:
        """Start a program with these files. Return a file that tells its process id, and in the end its exit code."""
        ours, theirs = os.pipe()
        message = json.dumps([code, *map(str, arguments)]).encode()
        socket.send_fds(self._channel, [message], [stdin, stdout, stderr, theirs])
        os.close(theirs)
        return os.fdopen(ours)

    def close(self) -> None:
        """End; no program may be running."""
        self._server.kill()
        self._server.wait()
        self._channel.close()


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    """Runs programs in processes of their own."""
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    running = Programs()
    yield running
    running.close()
