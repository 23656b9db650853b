"""Operations: the stages of a convolution and the layers of a network, one file each. No files, no configs.

A file holds the pure array function and its node: its settings, what it makes of which inputs, and the facts
about it. `OPERATIONS` finds one by its name; installed packages join by the entry points ``convpipe.ops``.
"""

from convpipe.ops.kinds.operation import MAIN, Made, Operation, like
from convpipe.ops.kinds.registry import OPERATIONS

__all__ = ["MAIN", "OPERATIONS", "Made", "Operation", "like"]
