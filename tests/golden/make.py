"""Makes the golden archives of today's format and the reference runs anew: python tests/golden/make.py

Only for a new format (then into a new folder, v3) or for one more archive: old ones are kept as they were made,
to show that today's code still gives their bytes. Those of v1 were made by the code that wrote format 1.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
GOLDEN, GOLDEN_2 = HERE / "v1", HERE / "v2"
RUNS = HERE.parents[1] / "runs"

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
# Those that came with format 2: with files, whose contents are stored beside the runs, and of a network.
ARCHIVES_2 = ARCHIVES | {
    "files": "input=npz input.path=arrays.npz input.entry=null filters=npz filters.path=arrays.npz bias=npy "
    "bias.path=bias.npy conv.pad=[1,1] keep=output+inputs",
    "network": "experiment=tiny keep=layers",
    "gradient": "conv=grad_weights grad=integers input=integers filters=integers conv.stride=2",
}
REFERENCES = ("lecture_3d", "lecture_4d")


def make(root: Path, name: str, overrides: str) -> None:
    """Run the program as its user would."""
    from convpipe.cli.main import main

    code = main([*overrides.split(), f"root={root}", f"name={name}"])
    if code:
        sys.exit(code)


def make_files() -> None:
    """The files that some of them read, in the current folder."""
    small = np.arange(-24, 24, dtype=np.int16)
    np.savez("arrays.npz", input=small.reshape(1, 3, 4, 4), filters=small[:24].reshape(2, 3, 2, 2))
    np.save("bias.npy", np.array([7, -7], np.int16))


def main() -> None:
    """Replace every archive."""
    for folder in (GOLDEN_2, RUNS / "reference"):
        shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        make_files()
        for name, overrides in ARCHIVES_2.items():
            make(GOLDEN_2, name, overrides)
        for name in REFERENCES:
            make(RUNS, "reference", ARCHIVES[name])
    for litter in (*GOLDEN_2.glob("*/.*"), *RUNS.glob("reference/.*")):
        litter.unlink()


if __name__ == "__main__":
    sys.path.insert(0, str(RUNS.parent))
    main()
