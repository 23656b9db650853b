"""By columns, and on to the integers of a target: centred, summed without the bias, scaled, rounded, cut to a range."""

CHAINS = {
    "conv": (
        "pad",
        "im2col",
        "center",
        "fil2col",
        "center_filters",
        "matmul",
        "add_bias",
        "requantize",
        "clamp",
        "reshape",
    ),
    "dense": ("center", "weight_rows", "center_filters", "matmul", "add_bias", "requantize", "clamp"),
}
