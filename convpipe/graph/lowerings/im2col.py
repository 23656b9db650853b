"""The lecture's way: lay every patch out as a row, multiply once; backwards, spread every row over the taps."""

SPREADING = ("rows", "fil2row", "matmul_rows", "col2im")

CHAINS = {
    "conv": ("pad", "im2col", "fil2col", "matmul", "reshape"),
    "conv_transpose": (*SPREADING, "crop"),
    "grad_input": (*SPREADING, "unpad"),
    "grad_weights": ("pad", "im2col", "rows", "matmul_columns", "col2fil"),
    "grad_bias": ("rows", "sum_rows"),
}
