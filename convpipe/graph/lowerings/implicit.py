"""Implicit GEMM: the same product, its columns made and used tile by tile."""

CHAINS = {"conv": ("pad", "implicit_gemm")}
