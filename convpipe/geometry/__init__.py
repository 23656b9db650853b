"""Integer arithmetic of a convolution, and nothing else: the one home of every size formula.

Letters, as everywhere in this package: N batch, C channels, F filters, G groups; D, H, W the input's depth,
height and width (`spatial`); kd, kh, kw the kernel's; out_d, out_h, out_w the output's.
The output size is that of PyTorch and ONNX: floor((size + before + after - dilation*(kernel-1) - 1) / stride) + 1.
"""
