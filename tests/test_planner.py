"""What a spec asks for in all: one plan, or a network's recorded images and slices of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from network_cases import RESIDUAL
from run_cases import ROOMY, a_spec, network_spec

from convpipe.errors import ConfigError
from convpipe.graph.single import plan_run
from convpipe.graph.work import SLICE, check_memory, plan_images, plan_work


def shaped(images: int, **changes: Any) -> Any:
    return network_spec(RESIDUAL, {"input.shape": [images, 3, 6, 6], **changes})


def test_a_convolution_is_its_plan() -> None:
    work, plan = plan_work(a_spec()), plan_run(a_spec())
    assert work.plan.given == plan.given
    assert (work.batch, work.recorded, work.slice) == (1, 1, 0)
    assert (work.peak_bytes, work.macs, str(work)) == (plan.peak_bytes, plan.macs, str(plan))


@pytest.mark.parametrize(("images", "record"), [(5, None), (5, 5), (1, 1), (0, None)])
def test_a_batch_that_is_recorded_whole_is_one_plan(images: int, record: int | None) -> None:
    work = plan_work(shaped(images, record=record))
    assert (work.batch, work.recorded, work.slice, work.batch_bytes) == (images, images, 0, 0)
    assert str(work) == str(work.plan)
    assert work.plan.given[0].shape[0] == images


@pytest.mark.parametrize(("images", "record", "slice_"), [(200, 1, SLICE), (200, 130, SLICE), (9, 2, 7), (2, 1, 1)])
def test_the_rest_runs_in_slices(images: int, record: int, slice_: int) -> None:
    work = plan_work(shaped(images, record=record), ROOMY)
    assert (work.batch, work.recorded, work.slice) == (images, record, slice_)
    assert work.plan.given[0].shape[0] == work.plan.output.shape[0] == record
    assert work.macs == plan_work(shaped(images)).macs
    assert work.batch_bytes == images * (3 * 6 * 6 * 2 + 5 * 4)
    assert f"and {images - record} more images, {slice_} at a time, whose stages are not recorded" in str(work)
    assert "limits.memory" not in str(work)


@pytest.mark.parametrize(("images", "record"), [(3, 4), (0, 1), (1, 2)])
def test_no_more_can_be_recorded_than_there_are(images: int, record: int) -> None:
    with pytest.raises(ConfigError, match=rf"^record: got {record}, expected at most {images}, the images there are"):
        plan_work(shaped(images, record=record))


def test_slices_shrink_to_the_memory_there_is() -> None:
    spec = shaped(1000, record=1)
    given = spec.input.signature()
    sizes = []
    for wanted in (64, 32, 16, 8, 4, 2, 1):
        needs = plan_work(spec).batch_bytes + plan_images(spec, given, wanted).peak_bytes
        work = plan_work(spec, needs)
        sizes.append(work.slice)
        assert work.peak_bytes <= needs
        check_memory(work, spec, needs)
    assert sizes == [64, 32, 16, 8, 4, 2, 1]
    assert "1 at a time (not 64, as limits.memory allows no more: floats may differ in their last bits)" in str(work)


def test_memory_for_not_even_one_image() -> None:
    spec = shaped(1000, record=1)
    work = plan_work(spec, 1000)
    assert work.slice == 1
    with pytest.raises(ConfigError, match=r"^limits\.memory: got 1000 B, expected at least .* KiB, this run's peak$"):
        check_memory(work, spec, 1000)
    with pytest.raises(ConfigError, match=r"this run's peak \(record=1 runs a big batch in slices\)$"):
        check_memory(plan_work(shaped(1000), 1000), shaped(1000), 1000)


def test_the_work_fits_the_memory_of_a_few_images() -> None:
    spec = shaped(100_000, record=1)
    whole, sliced = plan_work(shaped(100_000)).peak_bytes, plan_work(spec, ROOMY).peak_bytes
    assert sliced < whole / 5
    assert sliced > plan_work(spec, ROOMY).batch_bytes


@pytest.mark.parametrize("record", [None, 1])
def test_labels_are_for_rows_of_classes(record: int | None, tmp_path: Any) -> None:
    np.savez(tmp_path / "l.npz", labels=np.zeros(4, np.int64))
    labels = {"source": "npz", "path": str(tmp_path / "l.npz"), "entry": "labels"}
    spec = network_spec({"a": {"op": "relu"}}, {"input.shape": [4, 1, 2, 2], "labels": labels, "record": record})
    with pytest.raises(
        ConfigError, match=r"^labels: got settings, expected labels=none, as the network's output \(\d, 1"
    ):
        plan_work(spec)
    spec = network_spec({"a": {"op": "flatten"}}, {"input.shape": [5, 1, 2, 2], "labels": labels, "record": record})
    with pytest.raises(ConfigError, match=r"^labels\.path: got \(4,\), expected labels of the shape \(5,\)"):
        plan_work(spec)
