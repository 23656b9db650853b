"""Implicit GEMM: the same product, its columns made and used tile by tile."""

from __future__ import annotations

CHAINS = {"conv": ("pad", "implicit_gemm")}
