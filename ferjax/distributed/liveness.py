"""Detects when a process of a run has died.

Every process holds a connection to process 0. When a process dies, its kernel closes the
connection, and when its machine does, the kernels of the others notice by keep-alive; either way
process 0 hears of it and tells the rest. Nothing is sent while all is well. JAX's heartbeats remain
as the slower net below this one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence

from ferjax.errors import EXIT_RESUMABLE

# Keep-alive probes: a machine that is gone is noticed after about 3 + 2 * 3 seconds.
_KEEPALIVE = (("TCP_KEEPIDLE", 3), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
_CONNECT_SECONDS = 60.0
# How long a process waits at an address for process 0, which may be slow on a busy machine.
_ANSWER_SECONDS = 30.0
_LEAVE_SECONDS = 20.0
_SAME_REASON_SECONDS = 5.0
_VERDICT_SECONDS = 10.0


class Peers:
    """The watch over the processes of a run; one for each process.

    Messages are lines: "hello TOKEN RANK" when a process connects and "welcome TOKEN" in answer,
    "left RANK CODE" when one ends by itself, "dead RANK" from process 0 when one did not.

    Args:
      rank: number of this process.
      size: number of processes.
      broadcast: gives every process the bytes that process 0 passes to it.
      host: the host of process 0, if known; otherwise process 0 sends its own names.

    Raises:
      OSError: process 0 cannot be reached.
    """

    def __init__(
        self, rank: int, size: int, broadcast: Callable[[bytes], bytes], host: str | None = None
    ):
        self._rank, self._size = rank, size
        self._gone: dict[int, int] = {}  # rank -> exit code
        self._changed = threading.Condition()
        self._leaving = False
        self._links: dict[int, socket.socket] = {}
        if rank == 0:
            listener = socket.create_server(("", 0), backlog=size)
            token = secrets.token_hex(16)
            said = [str(listener.getsockname()[1]), token, *_own_names()]
            broadcast(" ".join(said).encode())
            self._accept(listener, token)
        else:
            port, token, *names = broadcast(b"").decode().split()
            hosts = names if host is None else [host, *names]
            self._links[0] = _connect(hosts, int(port), token, rank)
        for link in self._links.values():
            _keep_alive(link)
        threading.Thread(target=self._watch, name="peers", daemon=True).start()

    def leave(self, code: int) -> None:
        """Tells the others that this process ends by itself, and with which exit code.

        Process 0 goes last: it returns when all others have left too, or after some seconds.
        """
        with self._changed:
            self._leaving = True
            self._tell(f"left {self._rank} {code}")
            if self._rank == 0:
                self._changed.wait_for(lambda: len(self._gone) == self._size - 1, _LEAVE_SECONDS)

    def wait_for_a_death(self) -> None:
        """Waits for the message about a dead process, which ends this process."""
        time.sleep(_VERDICT_SECONDS)

    def _accept(self, listener: socket.socket, token: str) -> None:
        deadline = time.monotonic() + _CONNECT_SECONDS
        with listener:
            while len(self._links) < self._size - 1:
                listener.settimeout(max(deadline - time.monotonic(), 0.1))
                link, _ = listener.accept()
                link.settimeout(_CONNECT_SECONDS)
                words = _line(link).split()
                if len(words) == 3 and words[:2] == ["hello", token]:
                    link.sendall(f"welcome {token}\n".encode())
                    link.settimeout(None)
                    self._links[int(words[2])] = link
                else:
                    link.close()  # a stranger

    def _watch(self) -> None:
        selector = selectors.DefaultSelector()
        for rank, link in self._links.items():
            selector.register(link, selectors.EVENT_READ, rank)
        while selector.get_map():
            for key, _ in selector.select():
                link = self._links[key.data]
                text = _read(link)
                for line in text.splitlines():
                    self._hear(line)
                if not text:
                    selector.unregister(link)
                    if key.data not in self._gone:
                        self._hear(f"dead {key.data}")

    def _hear(self, line: str) -> None:
        verb, rank, *rest = line.split()
        with self._changed:
            code = int(rest[0]) if verb == "left" else EXIT_RESUMABLE
            self._gone[int(rank)] = code
            self._changed.notify_all()
            if self._leaving or code == 0:
                return
            self._tell(line)
        if verb == "dead":
            self._exit(
                f"process {rank} of {self._size} has died, and the run cannot go on without it. "
                "What is saved is whole: run the same command again to resume.",
                code,
            )
        # This process may be about to leave for the same reason, after it has saved.
        message = f"process {rank} of {self._size} stopped with exit code {code}; see its log."
        threading.Timer(_SAME_REASON_SECONDS, self._exit, (message, code)).start()

    def _exit(self, message: str, code: int) -> None:
        with self._changed:
            if self._leaving:
                return
            print(f"interrupted: {message}", file=sys.stderr, flush=True)
            # Before the others see the connection close, and take this process for a dead one.
            self._tell(f"left {self._rank} {code}")
            os._exit(code)

    def _tell(self, line: str) -> None:
        for link in self._links.values():
            with contextlib.suppress(OSError):  # gone itself
                link.sendall(f"{line}\n".encode())


def _own_names() -> list[str]:
    """This machine's own names, addresses first: other machines may not know its host name."""
    name = socket.gethostname()
    found = []
    with contextlib.suppress(OSError):
        found += socket.gethostbyname_ex(name)[2]
    return list(dict.fromkeys([*found, socket.getfqdn(), name]))


def _connect(hosts: Sequence[str], port: int, token: str, rank: int) -> socket.socket:
    """A connection to the one of these hosts that is process 0."""
    deadline = time.monotonic() + _CONNECT_SECONDS
    while True:
        for host in hosts:
            try:
                link = socket.create_connection((host, port), timeout=5.0)
                link.settimeout(_ANSWER_SECONDS)
                link.sendall(f"hello {token} {rank}\n".encode())
                if _line(link) == f"welcome {token}\n":
                    link.settimeout(None)
                    return link
                link.close()
                failure = OSError(f"{host}:{port} is something else")
            except OSError as error:
                failure = error
        if time.monotonic() > deadline:
            raise failure
        time.sleep(0.2)


def _keep_alive(link: socket.socket) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _read(link: socket.socket) -> str:
    """Received text; "" if the other end is gone. Lines are short and arrive whole."""
    try:
        return link.recv(4096).decode()
    except OSError:
        return ""


def _line(link: socket.socket) -> str:
    text = ""
    while not text.endswith("\n"):
        try:
            more = link.recv(1).decode()
        except OSError:
            return ""
        if not more:
            return ""
        text += more
    return text
