"""Where a result was made: which machine, versions, BLAS kernel and threads; a registry of keys."""

import hashlib
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

VERSION = "0.1.0"
# Whose code can change what a run's files hold; what only asks, orders, shows or judges runs is in the other rooms.
ROOMS = ("errors", "tensors", "fields", "geometry", "ops", "files", "sources", "archive", "graph", "execution")


@dataclass(frozen=True)
class Key:
    """One fact that is recorded: its type, its unit, and whether it can change a float's last bits."""

    type: type
    unit: str
    numeric: bool
    meaning: str
    find: Callable[[], Any] | None = None  # where it stays the same as long as the process lives


def blas_library() -> tuple[str, str]:
    """The BLAS that NumPy calls and its kernel, as threadpoolctl finds them, whatever else brought one of its own."""
    pools = [pool for pool in thread_pools().info() if pool["user_api"] == "blas"]
    # a distribution's NumPy brings none and calls the system's; one that calls Apple's Accelerate has none to be found
    own = [pool for pool in pools if comes_with_numpy(pool["filepath"])] or [
        pool for pool in pools if not comes_with_a_package(pool["filepath"])
    ]
    for pool in own:
        return f"{pool['internal_api']} {pool['version']}", str(pool.get("architecture", "unknown"))
    return "unknown", "unknown"


def comes_with_numpy(library: str) -> bool:
    """Whether a library lies in NumPy's own folder, or in the one that a wheel puts beside it."""
    import numpy as np

    home = os.path.dirname(os.path.realpath(np.__file__))
    return os.path.realpath(library).startswith((f"{home}{os.sep}", f"{home}.libs{os.sep}"))


def comes_with_a_package(library: str) -> bool:
    """Whether a library lies where Python's packages are installed, as those of SciPy, scikit-learn and torch do."""
    folders = os.path.dirname(os.path.realpath(library)).split(os.sep)
    return any(folder in ("site-packages", "dist-packages") or folder.endswith(".libs") for folder in folders)


@cache
def thread_pools() -> Any:
    """The thread pools of the loaded libraries: found once, as that takes milliseconds."""
    import numpy as np  # noqa: F401 - its BLAS has to be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def code_sha256() -> str:
    """A hash over the source files of `ROOMS` and their names."""
    package = os.path.dirname(os.path.dirname(__file__))
    total = hashlib.sha256()
    for parts in sorted(room_files(package)):
        with open(os.path.join(package, *parts), "rb", buffering=0) as file:
            total.update("/".join(parts).encode() + b"\0" + file.read())
    return total.hexdigest()


@cache
def own_code() -> str:
    """The same of this process, once and for all: it has read its code by then."""
    return code_sha256()


def room_files(package: str) -> Iterator[tuple[str, ...]]:
    """The Python files of `ROOMS`, each of which is a folder or a file."""
    for room in ROOMS:
        folder = os.path.join(package, room)
        if os.path.isdir(folder):
            yield from source_files(folder, (room,))
        elif os.path.isfile(f"{folder}.py"):
            yield (f"{room}.py",)


def source_files(folder: str, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The Python files below a folder, each as the parts of its path; pathlib takes twice as long to find them."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                yield (*above, entry.name)
            elif entry.is_dir() and entry.name != "__pycache__":
                yield from source_files(entry.path, (*above, entry.name))


def cpu_model() -> str:
    """The processor's name, from Linux where it is Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def cpu_features() -> str:
    """The instruction sets by which NumPy chose its functions; NPY_DISABLE_CPU_FEATURES leaves some out."""
    import numpy as np

    found: Any = np.show_config(mode="dicts") or {}
    sets = found.get("SIMD Extensions", {})
    return " ".join([*sets.get("baseline", []), *sets.get("found", [])]) or "unknown"


def memory_bytes() -> int:
    """The machine's memory, or what a control group leaves of it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def system() -> str:
    """The operating system and its release."""
    return f"{platform.system()} {platform.release()}"


def c_library() -> str:
    """The C library, which makes the tails of normal numbers and gelu's erfc; elsewhere than in glibc, the system's."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or system()
    except (AttributeError, ValueError, OSError):  # Windows has no confstr, macOS and musl not that name
        return system()


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


KEYS: dict[str, Key] = {
    "convpipe": Key(str, "version", False, "version of this package", lambda: VERSION),
    "code_sha256": Key(str, "hex", False, "hash over those of this package's files that can change a value", own_code),
    "python": Key(str, "version", False, "version of Python", platform.python_version),
    "numpy": Key(str, "version", True, "version of NumPy", lambda: import_module("numpy").__version__),
    "blas": Key(str, "name and version", True, "the BLAS library NumPy calls", lambda: blas_library()[0]),
    "blas_kernel": Key(str, "name", True, "which of its kernels it chose for this CPU", lambda: blas_library()[1]),
    "threads": Key(int, "threads", True, "how many threads BLAS was limited to"),
    "cpu": Key(str, "name", True, "the processor's model", cpu_model),
    "cpu_features": Key(str, "names", True, "the instruction sets by which NumPy chose its functions", cpu_features),
    "architecture": Key(str, "name", True, "the processor's instruction set", platform.machine),
    "system": Key(str, "name and release", False, "the operating system", system),
    "c_library": Key(str, "name and version", True, "the library of C, whose functions NumPy calls", c_library),
    "cores": Key(int, "cores", False, "processors this process may use", processors),
    "memory": Key(int, "bytes", False, "memory of the machine", memory_bytes),
}


def collect(threads: int) -> dict[str, Any]:
    """All of `KEYS` for this process, now."""
    return {**machine(), "threads": threads}


@cache
def recorded(threads: int) -> Mapping[str, Any]:
    """The same as a manifest has it, whose JSON is made once."""
    from convpipe.archive.format import Fixed  # it loads NumPy, and this module is there before that

    return Fixed(collect(threads))


def now() -> str:
    """The time, UTC, ISO 8601 with microseconds: some runs take less than a millisecond, and are sorted by it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@cache
def machine() -> dict[str, Any]:
    """What stays the same as long as the process lives."""
    return {name: key.find() for name, key in KEYS.items() if key.find is not None}


def numeric_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys that can change a float's last bits and that differ: {key: (then, now)}."""
    return {
        name: (then.get(name), now.get(name))
        for name, key in KEYS.items()
        if key.numeric and then.get(name) != now.get(name)
    }
