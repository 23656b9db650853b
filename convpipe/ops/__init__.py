"""Pure array functions, the stages of a convolution: no files, no configs, arguments never changed."""

from convpipe.ops.columns import col2im, fil2col, fold, im2col, unfold
from convpipe.ops.layout import channels_first, reshape
from convpipe.ops.matmul import matmul
from convpipe.ops.padding import pad

__all__ = ["channels_first", "col2im", "fil2col", "fold", "im2col", "matmul", "pad", "reshape", "unfold"]
