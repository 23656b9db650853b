"""Standard output and error that may fail: a reader who leaves, or a log's full disk, decides nothing about the work.

It imports next to nothing, as it is there before all else.
"""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False  # typing takes 4 ms
if TYPE_CHECKING:
    from typing import Any

OUTPUT = "standard output"


class Output(io.FileIO):
    """Standard output: once its reader has left, what is written to it goes nowhere, and the work to its end."""

    def write(self, data: Any, /) -> int:
        """Write, or let it go where nobody reads it.

        Raises:
            OSError: the disk refused, under a name that a user knows.
        """
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            return self.let_go(data)
        except OSError as error:
            error.filename = OUTPUT
            raise

    def let_go(self, data: Any) -> int:
        """From now on write to where everything vanishes, and this, too."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        return memoryview(data).nbytes


class Told(Output):
    """Standard error: what cannot be told is lost, and nothing else; the exit code still says it."""

    def write(self, data: Any, /) -> int:
        """Write, or let it go where it cannot be written."""
        try:
            return super().write(data)
        except OSError:
            return self.let_go(data)


def may_fail() -> None:
    """Let the process have such streams, which print what their encoding lacks as an escape.

    A path's letters under LANG=C are an example.
    """
    for name, kind in (("stdout", Output), ("stderr", Told)):
        before = getattr(sys, name)
        if isinstance(before, io.TextIOWrapper):
            before.flush()
            raw = kind(before.fileno(), "wb", closefd=False)
            lines = kind is Told or before.line_buffering or before.write_through
            buffer = io.BufferedWriter(raw)
            stream = io.TextIOWrapper(buffer, before.encoding, "backslashreplace", line_buffering=lines)
            setattr(sys, name, stream)
