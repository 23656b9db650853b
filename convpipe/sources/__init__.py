"""Where arrays come from: inputs, filters, a bias, a gradient, weights of a network, labels. One file each.

A source is a frozen dataclass of settings. ``signature`` says what the array will be, ``make`` makes it. `SOURCES`
finds one by its name; installed packages join by the entry points ``convpipe.sources``.
"""

from convpipe.sources.kinds.source import SOURCES, Request, Source, read_source
from convpipe.sources.kinds.stream import stream

__all__ = ["SOURCES", "Request", "Source", "read_source", "stream"]
