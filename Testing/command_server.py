"""Commands of the library, forked from one process that has imported everything: to import torch takes seconds.

`python command_server.py KIND NAME PADDING` listens, once for all processes of a test run, and ends when nobody is
connected any more. Of the kind "library" it has imported all that commands import; of the kind "bench" what of Slicer
and Qt the bench imports, which takes seconds as well, and nothing else. What is asked for becomes a child of it with
the words, the environment, the folder and the files that it was given; from there on it is `python -m RobustDIRLib` or
`python -c CODE`. `forked_commands.py` asks.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import random
import runpy
import selectors
import signal
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).parents[1] / "RobustDIR"
MODULE = "RobustDIRLib"
OF_SLICER = tuple(f"{MODULE}.{part}" for part in ("mrml", "panelparts", "panel", "trainpanel"))
SECONDS = 60.0  # for the first to connect
MOST_BYTES = 1 << 17  # of what is asked


def preload(kind: str) -> None:
    """Import what all that is forked imports, or may."""
    gc.disable()  # nothing of this is ever let go
    {"library": _preload_library, "bench": _preload_bench}[kind]()
    gc.collect()
    gc.enable()
    gc.freeze()  # collections would copy the pages that processes share


def _preload_bench() -> None:
    for name in ("numpy", "slicer", "vtk", "PySide6.QtWidgets", "PySide6.QtUiTools"):
        importlib.import_module(name)


def _preload_library() -> None:
    """Optimisers import torch._dynamo as they are made."""
    import numpy as np
    import pytest  # by tests' own functions
    import torch._dynamo

    sys.path.insert(0, str(LIBRARY))
    package = importlib.import_module(MODULE)
    for found in pkgutil.walk_packages(package.__path__, f"{MODULE}."):
        if not found.name.startswith(OF_SLICER) and not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    assert np and pytest and torch
    sys.path.remove(str(LIBRARY))


class Server:
    """Who is connected, and what runs.

    Args:
        name: Where it listens, among abstract sockets of Unix.
    Raises:
        OSError: If another one listens there.
    """

    def __init__(self, name: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(f"\0{name}")
        self._listener.listen(64)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._clients: set[socket.socket] = set()
        self._running: dict[int, tuple[int, socket.socket]] = {}  # by descriptor of the process

    def serve(self) -> dict[str, Any] | None:
        """What a child is to be, in that child; nothing in the server, once it has ended."""
        begun = False
        while self._clients or self._running or not begun:
            ready = self._selector.select(None if begun else SECONDS)
            if not ready:
                return None
            begun = True
            for key, _ in ready:
                if (asked := self._attend(key.fileobj)) is not None:
                    return asked
        return None

    def _attend(self, source: Any) -> dict[str, Any] | None:
        if source is self._listener:
            self._welcome()
        elif source in self._running:
            self._report(source)
        else:
            return self._hear(source)
        return None

    def _welcome(self) -> None:
        client, _ = self._listener.accept()
        peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", peer)[1] != os.getuid():
            client.close()
            return
        self._clients.add(client)
        self._selector.register(client, selectors.EVENT_READ)
        client.send(b"welcome")

    def _hear(self, client: socket.socket) -> dict[str, Any] | None:
        message, files, _, _ = socket.recv_fds(client, MOST_BYTES, 3)
        self._selector.unregister(client)
        self._clients.discard(client)
        if not message:
            client.close()
            return None
        pid = os.fork()
        if pid == 0:
            for number, file in enumerate(files):
                os.dup2(file, number)
            self._close(files)
            return {**json.loads(message), "asked_by": client}
        for file in files:
            os.close(file)
        handle = os.pidfd_open(pid)
        self._running[handle] = pid, client
        self._selector.register(handle, selectors.EVENT_READ)
        return None

    def _report(self, handle: int) -> None:
        """Tell who asked for a process that it has ended, and how."""
        pid, client = self._running.pop(handle)
        self._selector.unregister(handle)
        os.close(handle)
        _, status = os.waitpid(pid, 0)
        with client:
            try:
                client.send(f"exit {os.waitstatus_to_exitcode(status)}".encode())
            except OSError:  # nobody waits for it any more
                return

    def _close(self, files: list[int]) -> None:
        """In a child: what is the server's own."""
        self._selector.close()
        self._listener.close()
        for client in (*self._clients, *(client for _, client in self._running.values())):
            client.close()
        for number in (*files, *self._running):
            os.close(number)


def become(words: list[str], environment: dict[str, str], folder: str, session: bool, asked_by: socket.socket) -> None:
    """Make this child what a process is that was started so, and then tell its number."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if session:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    encoding = environment.get("PYTHONIOENCODING")
    unbuffered = bool(environment.get("PYTHONUNBUFFERED"))
    for name, number in (("stdout", 1), ("stderr", 2)):
        file = os.fdopen(number, "w", encoding=encoding, closefd=False)
        file.reconfigure(line_buffering=unbuffered or number == 2, write_through=unbuffered)
        setattr(sys, name, file)
    sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
    tempfile.tempdir = None  # found anew in this environment
    random.seed()
    sys.modules["numpy"].random.seed()
    sys.argv = ["-c", *words[3:]] if words[1] == "-c" else words[2:]
    sys.path.insert(0, folder)
    sys.path.insert(1, str(LIBRARY))
    show_words(words)
    with asked_by:
        asked_by.send(f"number {os.getpid()}".encode())


def show_words(words: list[str]) -> None:
    """Put them in place of this process's own command line; what is left over lengthens the first of them."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])  # arg_start and arg_end
    text = b"".join(os.fsencode(word) + b"\0" for word in words)
    room = end - begin - len(text)
    if room < 0:
        raise OSError(f"a command of {len(text)} bytes does not fit into {end - begin}")
    ctypes.memmove(begin, b"/" * room + text, end - begin)


def main(kind: str, name: str) -> dict[str, Any] | None:
    """Serve; what to become, in a child."""
    sys.path.pop(0)  # this folder
    try:
        server = Server(name)
    except OSError:
        return None
    preload(kind)
    return server.serve()


if __name__ == "__main__" and (asked := main(*sys.argv[1:3])) is not None:
    become(**asked)
    if asked["words"][1] == "-m":
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
    else:
        exec(asked["words"][2], {"__name__": "__main__"})  # noqa: S102 - as `python -c` does
