"""Makes the golden archives and the reference runs anew: python tests/golden/make.py

Only for a new format (then into a new folder, v2) or for one more archive: old ones are kept as they were made,
to show that today's code still gives their bytes.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

GOLDEN = Path(__file__).parent / "v1"
RUNS = Path(__file__).parents[2] / "runs"

# What is typed for each golden archive; its name is its folder's.
ARCHIVES: dict[str, str] = {
    "lecture_3d": "experiment=lecture_3d",
    "lecture_pad": "experiment=lecture_pad",
    "lecture_im2col": "experiment=lecture_im2col trace=false",
    "lecture_4d": "experiment=lecture_4d",
    "whole_floats": "input=integers filters=integers input.dtype=float32 filters.dtype=float32 "
    "conv.pad=same conv.pad_mode=reflect lowering=implicit",
    "saturate": "input=integers filters=integers input.dtype=int8 filters.dtype=int8 input.low=-128 input.high=128 "
    "conv.dtype=int8 conv.overflow=saturate conv.stride=[2,3]",
    "grouped": "input=integers filters=integers input.shape=[2,4,7,6] filters.kernel=[2,3] conv.groups=2 "
    "conv.dilation=[2,1] conv.pad=[[0,1],[2,0]] conv.pad_value=-3 keep=stages",
    "random_integers": "input=random filters=random input.dtype=int16 filters.dtype=int8 input.low=-100 "
    "input.high=100.5 filters.low=-8 filters.high=8 conv.pad=1",
}
REFERENCES = ("lecture_3d", "lecture_4d")


def make(root: Path, name: str, overrides: str) -> None:
    """Run the program as its user would."""
    from convpipe.cli.main import main

    code = main([*overrides.split(), f"root={root}", f"name={name}"])
    if code:
        sys.exit(code)


def main() -> None:
    """Replace every archive."""
    for folder in (GOLDEN, RUNS / "reference"):
        shutil.rmtree(folder, ignore_errors=True)
    for name, overrides in ARCHIVES.items():
        make(GOLDEN, name, overrides)
    for name in REFERENCES:
        make(RUNS, "reference", ARCHIVES[name])


if __name__ == "__main__":
    sys.path.insert(0, str(RUNS.parent))
    main()
