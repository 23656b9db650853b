"""Operations: the stages of a convolution and the layers of a network, one file each. No files, no configs.

A file holds the pure array function and its node: its settings, what it makes of which inputs, and the facts
about it. `OPERATIONS` finds one by its name; installed packages join by the entry points ``convpipe.ops``.

What the file of an operation needs is imported from here.
"""

from convpipe.errors import ConfigError, GeometryError, ValueRangeError
from convpipe.fields import anything, choice, field, number, optional, text, whole
from convpipe.ops.arrays.arguments import check_shape, checked, dtype_of, images, numeric, sizes_of, tensors_of
from convpipe.ops.kinds.adjoint import BetweenStage, Gradient, UnpadStage
from convpipe.ops.kinds.convolving import Convolution, Convolving, ConvSettings, ConvStage, SumStage, check_padded
from convpipe.ops.kinds.forms import Form, Read, along, cellwise, copied, windowed
from convpipe.ops.kinds.formulas import formula
from convpipe.ops.kinds.operation import (
    BIAS,
    MAIN,
    PAD,
    PAD_MODE,
    WEIGHTS,
    AxisOperation,
    Give,
    Made,
    Operation,
    Weight,
    bias_name,
    bias_of,
    each_axis,
    like,
    padding,
    pads_as_written,
    unread_padding,
    unread_stride,
    within_image,
)
from convpipe.ops.kinds.places import Place, ravelled, unravelled, variables
from convpipe.ops.kinds.products import bias_read, of_matrices, of_products
from convpipe.ops.kinds.registry import OPERATIONS
from convpipe.ops.kinds.stages import STAGES, stage_list
from convpipe.ops.kinds.tiling import TileStage
from convpipe.tensors import FLOAT_DTYPES, Array, Sizes, Tensor, Wanted
