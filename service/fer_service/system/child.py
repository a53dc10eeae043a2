"""A child process that does one thing at a time, with limits, and can be killed while it does.

A message is JSON, with bytes behind it; the answer to it may also carry an array in shared memory. Both go through
a Unix socket pair, as a four-byte length, the JSON, and the bytes.
"""

import json
import mmap
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

SUPPORTED: Final = hasattr(socket, "send_fds")  # not on Windows
_LENGTH: Final = struct.Struct(">I")
_SEND_SECONDS: Final = 10.0  # a child that has begun to answer goes on at once
_POLL_SECONDS: Final = 0.1  # between two questions whether the answer is still wanted
_ENDING_SECONDS: Final = 1.0  # a child that closed its end is about to end


class ChildEnded(Exception):
    """The child ended by itself.

    Attributes:
        status: Exit status; minus the signal if a signal ended it.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the child process ended with status {status}")
        self.status = status


class ChildKilled(Exception):
    """The child was killed because its answer was no longer wanted."""


class Answer(NamedTuple):
    """The answer to a message.

    Attributes:
        content: The JSON object.
        array: uint8 array in shared memory, if there is one.
    """

    content: dict[str, Any]
    array: NDArray[np.uint8] | None


class Child:
    """A running child. It also ends when this process does."""

    def __init__(self, module: str) -> None:
        """Start `python -m module`, which calls `fer_service.system.child_loop.serve`.

        Raises:
            OSError: the process cannot be started.
        """
        self._channel, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 (this Python, a module of this package)
                    [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    process_group=0,  # while it starts, Ctrl-C would end it with a traceback
                )
        except OSError:
            self._channel.close()
            raise

    @property
    def alive(self) -> bool:
        """True until the child has ended."""
        return self._process.poll() is None

    def send(
        self, content: Mapping[str, Any], data: bytes = b"", wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """Send a message. A child that is still starting takes it when it is ready.

        Args:
            content: JSON object.
            data: Bytes that belong to it.
            wanted: Asked ten times a second while the child takes nothing. When it returns False, the child is
                killed.

        Raises:
            ChildKilled: the answer was no longer wanted.
            ChildEnded: the child has ended.
        """
        self._channel.settimeout(_POLL_SECONDS)
        for part in (pack(content, len(data)), data):
            rest = memoryview(part)
            while rest:
                try:
                    rest = rest[self._channel.send(rest) :]
                except TimeoutError:
                    self._check_wanted(wanted)
                except OSError as error:
                    raise ChildEnded(self._end(_ENDING_SECONDS)) from error

    def receive(self, wanted: Callable[[], bool]) -> Answer:
        """Wait for the answer to the last message.

        Args:
            wanted: Asked ten times a second. When it returns False, the child is killed.

        Raises:
            ChildKilled: the answer was no longer wanted.
            ChildEnded: the child ended by itself.
        """
        self._channel.settimeout(_POLL_SECONDS)
        while True:
            try:
                head, descriptors, _, _ = socket.recv_fds(self._channel, _LENGTH.size, 1)
                break
            except TimeoutError:
                self._check_wanted(wanted)
            except OSError as error:
                raise ChildEnded(self._end(_ENDING_SECONDS)) from error
        self._channel.settimeout(_SEND_SECONDS)
        try:
            content, _ = read_message(self._channel, head)
            return Answer(content, _mapped(descriptors[0], content["shape"]) if descriptors else None)
        except (OSError, EOFError, ValueError) as error:  # ValueError: the answer breaks the format
            raise ChildEnded(self._end(_ENDING_SECONDS)) from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def kill(self) -> None:
        """End the child at once."""
        self._end(0.0)

    def _check_wanted(self, wanted: Callable[[], bool]) -> None:
        if not wanted():
            self.kill()
            raise ChildKilled from None

    def _end(self, patience: float) -> int:
        """Return the exit status; kill the child if it has not ended after `patience` seconds."""
        self._channel.close()
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def pack(content: Mapping[str, Any], size: int) -> bytes:
    """Return the first part of a message, behind which `size` bytes of data follow."""
    text = json.dumps({**content, "bytes": size}).encode()
    return _LENGTH.pack(len(text)) + text


def read_message(channel: socket.socket, start: bytes = b"") -> tuple[dict[str, Any], bytes]:
    """Read a message of which `start` has been read.

    Raises:
        EOFError: the other process has ended.
    """
    head = start + _exactly(channel, _LENGTH.size - len(start))
    content: dict[str, Any] = json.loads(_exactly(channel, *_LENGTH.unpack(head)))
    return content, _exactly(channel, content["bytes"])


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = channel.recv_into(view[done:])
        if not count:
            raise EOFError
        done += count
    return bytes(data)


def _mapped(descriptor: int, shape: list[int]) -> NDArray[np.uint8]:
    # mmap refuses more than the file holds, so a shape cannot reach beyond it.
    return np.frombuffer(mmap.mmap(descriptor, int(np.prod(shape))), np.uint8).reshape(shape)
