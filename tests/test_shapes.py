"""Shapes as people have them: matrices, rows, one image without its batch, channels last, transposes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, refused

import convpipe as cp
from convpipe.archive.read import Run
from convpipe.errors import ConfigError, GeometryError

Array = np.ndarray[Any, Any]

IMAGE = np.arange(25).reshape(5, 5)
KERNEL = np.array([[1, 0], [0, -1]])
# By hand, of the lecture: each cell less the one below and to the right of it, which is 6 more
DIAGONAL = [[-6] * 4] * 4
LECTURE_IMAGE = np.array(
    [
        [[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]],
        [[1, 3, 2, 0], [0, 1, 3, 2], [2, 0, 3, 1], [3, 2, 1, 0]],
        [[2, 3, 1, 0], [0, 2, 3, 1], [1, 0, 2, 3], [3, 1, 0, 2]],
    ]
)
LECTURE_KERNEL = np.array(
    [
        [[1, -1, 1], [0, 1, -1], [-1, 0, 1]],
        [[-1, 1, 0], [1, -1, 0], [0, 1, -1]],
        [[0, -1, 1], [1, 0, -1], [-1, 1, 0]],
    ]
)


class Tensorlike:
    """What a tensor of PyTorch is to NumPy: an object with an `__array__`."""

    def __init__(self, *values: int) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.values, dtype)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def held(**settings: Any) -> Any:
    """A run in memory, of settings with two underscores for a point."""
    return cp.run(archive=False, **{key.replace("__", "."): value for key, value in settings.items()})


def in_folder(folder: Path, name: str) -> dict[str, str]:
    """A source that is a file."""
    return {"source": name.partition(".")[2], "path": str(folder / name)}


def network_file(layers: dict[str, Any], x: Any, **settings: Any) -> str:
    """A file with a network, on weights that are whole numbers."""
    plain = {"input": x.tolist() if isinstance(x, np.ndarray) else x, "network": layers, "weights": "integers"}
    more = {key.replace("__", "."): value for key, value in settings.items()}
    path = Path(tempfile.mkdtemp()) / "n.yaml"
    path.write_text(json.dumps(plain | more))
    return str(path)


def rows_run(layers: dict[str, Any], x: Any, **settings: Any) -> Run:
    """A run of a network in memory."""
    return cp.run(network_file(layers, x, **settings), archive=False)


# A matrix is one image, and one filter, of one channel

TAKEN: list[tuple[str, Callable[[Array], Any]]] = [
    ("conv", lambda x: cp.conv(x, KERNEL)),
    ("conv implicit", lambda x: cp.conv(x, KERNEL, lowering="implicit", pad=1, stride=2)),
    ("conv_transpose", lambda x: cp.conv_transpose(x, KERNEL, stride=2)),
    ("conv_grad", lambda x: cp.conv_grad(x, KERNEL, np.ones((4, 4), int))[0]),
    ("stages", lambda x: cp.stages(x, KERNEL)["reshape"]),
    ("im2col", lambda x: cp.im2col(x, 2, 2)),
    ("pad", lambda x: cp.pad(x, [[1, 0], [0, 2]])),
    ("unpad", lambda x: cp.unpad(x, pads=[[1, 0], [0, 2]])),
    ("crop", lambda x: cp.crop(x, pads=[[1, 0], [0, 2]])),
    ("max_pool", lambda x: cp.max_pool(x, 2)),
    ("avg_pool", lambda x: cp.avg_pool(x, 2)),
    ("global_max_pool", cp.global_max_pool),
    ("global_avg_pool", cp.global_avg_pool),
    ("upsample", lambda x: cp.upsample(x, 2)),
    ("implicit_gemm", lambda x: cp.implicit_gemm(x, KERNEL, stride=1, dilation=1)),
    ("fil2col", cp.fil2col),
    ("fil2row", cp.fil2row),
    ("rows", cp.rows),
]


@pytest.mark.parametrize(("name", "function"), TAKEN, ids=[name for name, _ in TAKEN])
def test_a_function_takes_a_matrix_for_one_image(name: str, function: Callable[[Array], Any]) -> None:
    found, expected = function(IMAGE), function(IMAGE[None, None])
    assert found.shape == expected.shape
    assert found.tolist() == expected.tolist()
    assert function(IMAGE.tolist()).tolist() == expected.tolist()  # type: ignore[arg-type]


def test_the_result_of_a_matrix_is_a_batch() -> None:
    assert cp.conv(IMAGE, KERNEL).tolist() == [[DIAGONAL]]
    assert cp.max_pool(IMAGE, 4).tolist() == [[[[18]]]]
    assert [grad.shape for grad in cp.conv_grad(IMAGE, KERNEL, np.ones((4, 4), int))] == [
        (1, 1, 5, 5),
        (1, 1, 2, 2),
        (1,),
    ]


def test_columns_of_a_matrix_go_back() -> None:
    once = cp.col2im(cp.im2col(IMAGE, 1, 1), IMAGE.shape, 1, 1)
    assert once.tolist() == [[IMAGE.tolist()]]


@pytest.mark.parametrize("function", [cp.softmax, cp.relu, cp.flatten, cp.local_response_norm, cp.log_softmax])
def test_two_axes_stay_where_they_mean_something_else(function: Callable[..., Array]) -> None:
    assert function(IMAGE).shape == (5, 5)


def test_a_matrix_is_no_filter_beside_a_row() -> None:
    with pytest.raises(GeometryError, match=r"^filters: got \(2, 2\), expected 3 axes .*one image is x\[None\]\)$"):
        cp.conv(np.ones((1, 3, 3)), np.ones((2, 2)))


# The lecture's np.pad


@pytest.mark.parametrize("pairs", [[(1, 1)], [(0, 2)], (1, 2), 2, np.array([[1, 0]])])
@pytest.mark.parametrize("mode", ["constant", "edge", "wrap"])
def test_a_row_is_padded_as_numpy_does(pairs: Any, mode: Any) -> None:
    row = np.array([1, 2])
    assert cp.pad(row, pairs, mode).tolist() == np.pad(row, pairs, mode).tolist()


@pytest.mark.parametrize(
    "pairs", [[(0, 0), (0, 0)], [(1, 1), (0, 0)], [(0, 0), (1, 1)], [(1, 1), (1, 1)], [(0, 0), (2, 2)]]
)
def test_the_lectures_matrix_is_padded(pairs: Any) -> None:
    matrix = np.array([[1, 2], [3, 4]])
    assert cp.pad(matrix, pairs).tolist() == [[np.pad(matrix, pairs).tolist()]]


def test_a_batch_is_padded_with_a_pair_for_every_axis() -> None:
    pairs = [(0, 0), (0, 0), (1, 1), (0, 2)]
    batch = np.arange(16).reshape(2, 2, 2, 2)
    assert cp.pad(batch, pairs).tolist() == np.pad(batch, pairs).tolist()  # type: ignore[arg-type]
    assert cp.pad(batch[0], [*pairs[:2], (1, 0)]).tolist() == np.pad(batch[0], [*pairs[:2], (1, 0)]).tolist()  # type: ignore[arg-type]
    with pytest.raises(GeometryError, match=r"^pad: got \[\(1, 0\), \(0, 0\), "):
        cp.pad(batch, [(1, 0), *pairs[1:]])


# The same in configs


def test_numbers_written_out_are_one_image(folder: Path) -> None:
    run = held(input=IMAGE, filters=KERNEL.tolist())
    assert run.maps.tolist() == [[DIAGONAL]]
    assert run["input"].shape == (1, 1, 5, 5)
    assert run["filters"].shape == (1, 1, 2, 2)


@pytest.mark.parametrize("kind", ["npy", "npz", "csv"])
def test_a_file_with_a_matrix_is_one_image(folder: Path, kind: str) -> None:
    for role, values in (("input", IMAGE), ("filters", KERNEL)):
        if kind == "csv":
            np.savetxt(folder / f"{role}.csv", values, "%d", ",")
        elif kind == "npy":
            np.save(folder / f"{role}.npy", values)
        else:
            np.savez(folder / f"{role}.npz", **{"images" if role == "input" else role: values})
    run = held(input=kind, filters=kind, input__path=f"input.{kind}", filters__path=f"filters.{kind}")
    assert run.maps.tolist() == [[DIAGONAL]]


def test_a_file_of_settings_has_matrices(folder: Path) -> None:
    (folder / "my.yaml").write_text("input: [[1, 2, 0], [3, 4, 1], [5, 0, 2]]\nfilters: [[1, 0], [0, -1]]\n")
    answer = convpipe("my.yaml", "root=r")
    assert answer.code == 0
    assert "feature map n=0 f=0, int16: [[-3, 1], [3, 2]]" in answer.out
    again = convpipe("my.yaml", "root=r")
    assert "reproduced: " in again.out


@pytest.mark.parametrize("source", ["integers", "random"])
def test_a_shape_of_two_sizes_is_one_image(source: str) -> None:
    run = held(input=source, input__shape=[4, 3], filters="integers", filters__kernel=2)
    assert run["input"].shape == (1, 1, 4, 3)
    assert run.maps.shape == (1, 4, 3, 2)


@pytest.mark.parametrize("operation", ["grad_input", "grad_weights", "grad_bias"])
def test_a_gradient_is_a_matrix(operation: str) -> None:
    grad = np.arange(16).reshape(4, 4)
    run = held(input=IMAGE, filters=KERNEL, grad=grad, conv=operation)
    batch = [values[None, None] for values in (IMAGE, KERNEL, grad)]
    expected = dict(zip(("grad_input", "grad_weights", "grad_bias"), cp.conv_grad(*batch), strict=True))[operation]
    assert run.output.tolist() == expected.tolist()


def test_the_filter_of_a_layer_is_a_matrix(folder: Path) -> None:
    np.savez(folder / "w.npz", **{"c.weight": KERNEL, "c.bias": np.array([1])})
    layers = {"c": {"op": "conv", "kernel": 2}}
    run = rows_run(layers, IMAGE, weights=in_folder(folder, "w.npz"))
    assert run.output.tolist() == [[[[-5] * 4] * 4]]


# One image without its batch


def test_the_lectures_own_arrays_say_how_they_are_understood() -> None:
    understood = (
        r"^channels: got 3, expected 4 .*\(3 axes are \(N, C, W\), a 1-D convolution; one image is x\[None\], one"
    )
    with pytest.raises(GeometryError, match=understood):
        cp.conv(LECTURE_IMAGE, LECTURE_KERNEL)
    with pytest.raises(GeometryError, match=r"^filters: got \(3, 3, 3\), .*\(one filter is w\[None\]\)$"):
        cp.conv(LECTURE_IMAGE[None], LECTURE_KERNEL)
    assert cp.conv(LECTURE_IMAGE[None], LECTURE_KERNEL[None]).tolist() == [[[[-9, 1], [0, -7]]]]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: cp.conv(x, np.ones((1, 3, 2, 2))),
        lambda x: cp.conv_transpose(x, np.ones((2, 3, 2))),
        lambda x: cp.conv(x, np.ones((1, 4, 2)), stride=[1, 1]),
        lambda x: cp.max_pool(x, (2, 2)),
        lambda x: cp.max_pool(x, 9),
        lambda x: cp.avg_pool(x, 2, stride=(2, 2)),
        lambda x: cp.im2col(x, 2, 2),
        lambda x: cp.pad(x, [(1, 1), (1, 1)]),
        lambda x: cp.pad(x, [(0, 0), (1, 1), (1, 1)]),  # as numpy.pad takes an image
        lambda x: cp.upsample(x, (2, 2)),
    ],
)
def test_three_axes_that_do_not_fit_are_explained(call: Callable[[Array], Any]) -> None:
    with pytest.raises(GeometryError, match=r"\(3 axes are \(N, C, W\).*; one image is x\[None\]"):
        call(LECTURE_IMAGE)


def test_a_setting_that_is_wrong_anyway_says_nothing_of_axes() -> None:
    with pytest.raises(GeometryError, match=r"^stride: got 0, expected a whole number from 1, or a list of 1 \(W\)$"):
        cp.conv(np.ones((1, 3, 4)), np.ones((1, 3, 2)), stride=0)


CHANNELS_FIRST = "[[[1,2,3],[4,5,6],[7,8,9]],[[1,2,3],[4,5,6],[7,8,9]]]"
TWO_CHANNELS = "[[[1,0],[0,-1]],[[1,0],[0,-1]]]"


def test_the_advice_of_the_command_line_works_when_typed(folder: Path) -> None:
    line = refused(folder, f"input.values={CHANNELS_FIRST}", f"filters.values={TWO_CHANNELS}")
    assert "one image is input.values in one more pair of brackets, one filter filters.values in one more" in line
    answer = convpipe(f"input.values=[{CHANNELS_FIRST}]", f"filters.values=[{TWO_CHANNELS}]")
    assert "feature map n=0 f=0, int16: [[-8, -8], [-8, -8]]" in answer.out


def test_the_advice_of_a_drawn_input_works_when_typed(folder: Path) -> None:
    line = refused(folder, "input=integers", "input.shape=[3,8,8]")
    assert line.endswith("one image is input.shape=[1,3,8,8])")
    assert convpipe("input=integers", "input.shape=[1,3,8,8]").code == 0


@pytest.mark.parametrize("filters", ["sobel_x", "gaussian", "laplacian", "identity"])
def test_filters_by_name_explain_an_image_without_its_batch(folder: Path, filters: str) -> None:
    np.save(folder / "x.npy", np.ones((3, 8, 8), np.uint8))
    line = refused(folder, "input=npy", "input.path=x.npy", f"filters={filters}")
    assert line.endswith("(not 1-D; 3 axes are (N, C, W); one image is x[None] of the array x, saved anew)")
    np.save(folder / "x.npy", np.ones((1, 3, 8, 8), np.uint8))
    assert convpipe("input=npy", "input.path=x.npy", f"filters={filters}").code == 0


def test_filters_by_name_explain_three_axes_of_every_source(folder: Path) -> None:
    line = refused(folder, "input=integers", "input.shape=[3,8,8]", "filters=sobel_x")
    assert line.endswith("(not 1-D; 3 axes are (N, C, W); one image is input.shape=[1,3,8,8])")
    line = refused(folder, f"input.values={CHANNELS_FIRST}", "filters=sobel_x")
    assert line.endswith("(not 1-D; 3 axes are (N, C, W); one image is input.values in one more pair of brackets)")
    assert refused(folder, "input=integers", "input.shape=[1,1,8,8,8]", "filters=sobel_x").endswith("(not 3-D)")


def test_the_advice_of_a_file_is_for_numpy(folder: Path) -> None:
    np.save("x.npy", LECTURE_IMAGE)
    assert refused(folder, "input=npy", "input.path=x.npy").endswith("one image is x[None] of the array x, saved anew)")
    np.save("x.npy", LECTURE_IMAGE[None])
    assert "[[-9, 1], [0, -7]]" in convpipe("input=npy", "input.path=x.npy").out


def test_a_network_explains_three_axes_too() -> None:
    with pytest.raises(
        ConfigError, match=r"^network\.c\.kernel: got \[2, 2\], .*; one image is input\.shape=\[1,3,8,8\]\)$"
    ):
        rows_run({"c": {"op": "conv", "filters": 2, "kernel": [2, 2]}}, {"source": "integers", "shape": [3, 8, 8]})
    with pytest.raises(
        ConfigError, match=r"^network\.p\.kernel: got \(2, 2\), .*; one image is input\.shape=\[1,3,8,8\]\)$"
    ):
        rows_run({"p": {"op": "max_pool", "kernel": [2, 2]}}, {"source": "integers", "shape": [3, 8, 8]})


LINE = ["input.values=[[[1,2,3],[4,5,6],[7,8,9]]]", "filters.values=[[[1,0],[0,-1],[1,1]]]"]
VOLUME = ["input=integers", "input.shape=[1,1,3,3,3]", "filters=integers", "filters.kernel=2"]


@pytest.mark.parametrize(
    ("words", "head"), [(LINE, "1-D convolution over W"), (VOLUME, "3-D convolution over D, H, W")]
)
def test_what_is_no_image_is_said_first(folder: Path, words: list[str], head: str) -> None:
    assert convpipe(*words, "root=r").out.splitlines()[0] == head
    assert convpipe(*words, "dry_run=true").out.splitlines()[0] == head
    plan, run = cp.plan(*words), cp.run(*words, archive=False)
    assert str(plan).startswith(f"{head}\n")
    assert head in plan._repr_html_()
    assert head in run._repr_html_()


def test_of_images_nothing_more_is_said(folder: Path) -> None:
    assert convpipe("root=r").out.startswith("stage ")
    assert str(cp.plan()).startswith("stage ")
    assert "convolution over" not in cp.run(archive=False)._repr_html_()


def test_the_sum_of_a_row_is_right() -> None:
    # by hand: 1*1+2*0 + 4*0-5 + 7+8, and 2 - 6 + 8+9
    assert cp.run(*LINE, archive=False).maps.tolist() == [[[11, 13]]]


def test_a_network_on_lines_says_so() -> None:
    lines = {"source": "integers", "shape": [2, 3, 8]}
    plan = cp.plan(network_file({"c": {"op": "conv", "filters": 2, "kernel": 2}}, lines))
    assert str(plan).startswith("1-D convolution over W\n")


# Class scores with axes of one cell


@pytest.mark.parametrize("last", ["global_avg_pool", "global_max_pool"])
def test_maps_of_one_cell_are_answers(folder: Path, last: str) -> None:
    x = np.zeros((3, 2, 2, 2), np.int16)
    x[0, 0], x[1, 1], x[2, 0] = 1, 2, 3
    run = rows_run({"mean": {"op": last}}, x, labels=[0, 1, 1])
    assert run.output.shape == (3, 2, 1, 1)
    assert run.manifest["evaluation"] == {"images": 3, "correct": 2}


def test_a_convolution_of_1x1_answers(folder: Path) -> None:
    np.savez("w.npz", **{"c.weight": np.eye(2, dtype=np.int16)[:, :, None, None]})
    run = rows_run(
        {"c": {"op": "conv", "bias": False}},
        np.array([[[[5]], [[1]]], [[[0]], [[1]]]]),
        weights=in_folder(folder, "w.npz"),
        labels=[0, 1],
    )
    assert run.manifest["evaluation"] == {"images": 2, "correct": 2}


def test_answers_of_maps_are_printed_as_such(folder: Path) -> None:
    (folder / "n.yaml").write_text(
        "input: [[[[1]], [[3]]], [[[4]], [[2]]]]\nnetwork: {mean: {op: global_max_pool}}\nlabels: [1, 1]\nrecord: 1\n"
    )
    out = convpipe("n.yaml").out
    assert "image  answer  score" in out
    assert "accuracy 50.00 % (1 of 2)" in out


def test_maps_of_more_cells_are_no_answers() -> None:
    with pytest.raises(ConfigError, match=r"^labels: .*as the network's output \(1, 1, 2, 2\) is not \(N, classes\)"):
        rows_run({"r": {"op": "relu"}}, [[[[1, 2], [3, 4]]]], labels=[0])


# Networks on rows

ROWS = [[1, 2], [3, -4], [5, 6]]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({"op": "relu"}, [[1, 2], [3, 0], [5, 6]]),
        ({"op": "clip", "low": 2, "high": 5}, [[2, 2], [3, 2], [5, 5]]),
        ({"op": "scale", "divisor": 2, "dtype": "float64"}, [[0.5, 1], [1.5, -2], [2.5, 3]]),
        ({"op": "leaky_relu", "slope": 0.5}, [[1, 2], [3, -2], [5, 6]]),
        ({"op": "flatten"}, ROWS),
        ({"op": "dropout"}, ROWS),
        ({"op": "add", "inputs": ["input", "input"]}, [[2, 4], [6, -8], [10, 12]]),
        ({"op": "concat", "inputs": ["input", "input"]}, [[1, 2, 1, 2], [3, -4, 3, -4], [5, 6, 5, 6]]),
    ],
)
def test_a_layer_works_on_rows(layer: dict[str, Any], expected: list[Any]) -> None:
    run = rows_run({"a": layer}, ROWS)
    assert run.output.tolist() == expected
    assert run.manifest["axes"]["input"] == ["N", "features"]


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "values"])
def test_rows_come_from_every_source(folder: Path, kind: str) -> None:
    x, w, b = np.array(ROWS), np.array([[1, 0, 2], [0, 1, 1]]), np.array([0, 10, 0])
    np.savez("w.npz", **{"fc.weight": w, "fc.bias": b})
    np.save("input.npy", x)
    np.savez("input.npz", images=x)
    np.savetxt("input.csv", x, "%d", ",")
    given = ROWS if kind == "values" else in_folder(folder, f"input.{kind}")
    run = rows_run({"fc": {"op": "dense"}, "r": {"op": "relu"}}, given, weights=in_folder(folder, "w.npz"))
    assert run.output.tolist() == np.maximum(x @ w + b, 0).tolist()


@pytest.mark.parametrize("source", ["integers", "random"])
def test_drawn_rows(source: str) -> None:
    x = {"source": source, "shape": [5, 4]}
    run = rows_run({"fc": {"op": "dense", "units": 3}, "s": {"op": "softmax"}}, x)
    assert run.output.shape == (5, 3)
    assert np.allclose(run.output.sum(axis=1), 1)


def test_rows_run_in_slices_with_labels(folder: Path) -> None:
    (folder / "n.yaml").write_text(
        "input: [[1, 2], [3, 4], [6, 5]]\nnetwork: {r: {op: relu}}\nlabels: [1, 0, 0]\nrecord: 1\n"
    )
    answer = convpipe("n.yaml", "root=r")
    assert "(1,2) = (N, features)" in answer.out
    assert "accuracy 66.67 % (2 of 3)" in answer.out
    assert "reproduced: " in convpipe("n.yaml", "root=r").out


def test_a_plan_of_rows_has_their_letters() -> None:
    plan = cp.plan(network_file({"fc": {"op": "dense", "units": 3}}, ROWS))
    assert [tensor.axes for tensor in (plan.given[0], plan.output)] == [("N", "features"), ("N", "units")]


@pytest.mark.parametrize(
    "layers",
    [
        {"p": {"op": "max_pool", "kernel": 2}},
        {"p": {"op": "avg_pool", "kernel": 2}},
        {"p": {"op": "global_max_pool"}},
        {"p": {"op": "pad"}},
        {"p": {"op": "upsample"}},
        {"p": {"op": "conv", "filters": 1, "kernel": 2}},
        {"p": {"op": "conv_transpose", "filters": 1, "kernel": 2}},
        {"r": {"op": "relu"}, "p": {"op": "max_pool", "kernel": 2}},
        {
            "a": {"op": "relu"},
            "b": {"op": "relu", "inputs": ["input"]},
            "c": {"op": "add", "inputs": ["a", "b"]},
            "p": {"op": "pad"},
        },
    ],
)
def test_a_network_on_images_takes_a_matrix_for_one(layers: dict[str, Any]) -> None:
    run = rows_run(layers, ROWS)
    assert run["input"].tolist() == [[ROWS]]
    assert run.output.tolist() == rows_run(layers, [[ROWS]]).output.tolist()


def test_the_first_that_cannot_do_with_either_decides() -> None:
    with pytest.raises(ConfigError, match=r"^network\.p\.inputs: got \(3, 4\), expected 4 axes \(N, C, H, W\)"):
        rows_run({"fc": {"op": "dense", "units": 4}, "p": {"op": "max_pool", "kernel": 2}}, ROWS)
    with pytest.raises(ConfigError, match=r"^network\.fc\.inputs: got \(1, 1, 5, 4\), expected 2 axes \(N, in\)"):
        rows_run({"p": {"op": "pad"}, "fc": {"op": "dense", "units": 4}}, ROWS)


def test_a_convolution_after_rows_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^network\.c\.inputs: got \(3, 4\), expected 4 axes \(N, C, H, W\)"):
        rows_run({"fc": {"op": "dense", "units": 4}, "c": {"op": "conv", "filters": 2, "kernel": 2}}, ROWS)


def test_rows_have_no_maps_and_no_cells_to_explain(folder: Path) -> None:
    run = rows_run({"r": {"op": "relu"}}, ROWS)
    with pytest.raises(ConfigError, match=r"^maps: got \(3,2\) = \(N, features\), expected an output of maps"):
        _ = run.maps
    with pytest.raises(ConfigError, match=r"^--layer: got nothing, expected a layer: one of r$"):
        cp.explain(run, at=(0, 0, 0, 0))


def test_one_row_alone_says_how_it_is_written() -> None:
    with pytest.raises(
        ConfigError, match=r"^input\.shape: got \(2,\), .*\(N, features\).*\(a row alone is input\.values in one"
    ):
        rows_run({"r": {"op": "relu"}}, [1, 2])
    assert rows_run({"r": {"op": "relu"}}, [[1, 2]]).output.tolist() == [[1, 2]]


# One setting for every axis, in any form

PAIR = [np.array([2, 1]), (np.int8(2), np.uint64(1)), Tensorlike(2, 1), range(2, 0, -1), np.array([2, 1], np.uint8)]
X, W = np.arange(98).reshape(1, 2, 7, 7), np.ones((2, 2, 2, 2), int)
PER_AXIS: list[tuple[str, Callable[[Any], Array]]] = [
    ("conv stride", lambda pair: cp.conv(X, W, stride=pair)),
    ("conv pad", lambda pair: cp.conv(X, W, pad=pair)),
    ("conv dilation", lambda pair: cp.conv(X, W, dilation=pair)),
    ("conv_transpose stride", lambda pair: cp.conv_transpose(X, W, stride=pair)),
    ("conv_transpose output_padding", lambda pair: cp.conv_transpose(X, W, stride=3, output_padding=pair)),
    ("stages stride", lambda pair: cp.stages(X, W, stride=pair)["reshape"]),
    ("im2col stride", lambda pair: cp.im2col(X, 2, 2, stride=pair)),
    ("im2col pad", lambda pair: cp.im2col(X, 2, 2, pad=pair)),
    ("max_pool kernel", lambda pair: cp.max_pool(X, pair)),
    ("max_pool stride", lambda pair: cp.max_pool(X, 2, stride=pair)),
    ("max_pool dilation", lambda pair: cp.max_pool(X, 2, dilation=pair)),
    ("avg_pool kernel", lambda pair: cp.avg_pool(X, pair)),
    ("upsample factor", lambda pair: cp.upsample(X, pair)),
    ("pad pad", lambda pair: cp.pad(X, pair)),
    ("implicit_gemm stride", lambda pair: cp.implicit_gemm(X, W, stride=pair, dilation=1)),
    ("conv_grad stride", lambda pair: cp.conv_grad(X, W, np.ones((1, 2, 3, 6), int), stride=pair)[1]),
]


@pytest.mark.parametrize(("name", "call"), PER_AXIS, ids=[name for name, _ in PER_AXIS])
def test_a_setting_per_axis_is_any_sequence(name: str, call: Callable[[Any], Array]) -> None:
    expected = call([2, 1]).tolist()
    assert [call(pair).tolist() for pair in PAIR] == [expected] * len(PAIR)


@pytest.mark.parametrize("one", [np.int64(2), np.uint8(2), np.array(2), Tensorlike(2, 2)])
def test_a_setting_is_a_number_of_numpy(one: Any) -> None:
    assert cp.conv(X, W, stride=one).tolist() == cp.conv(X, W, stride=2).tolist()
    assert cp.max_pool(X, one).tolist() == cp.max_pool(X, 2).tolist()


def test_pairs_and_shapes_are_arrays() -> None:
    pairs = [[1, 0], [0, 2]]
    assert cp.conv(X, W, pad=np.array(pairs)).tolist() == cp.conv(X, W, pad=pairs).tolist()
    assert cp.conv(X, W, pad=[np.array([1, 0]), (0, np.int8(2))]).tolist() == cp.conv(X, W, pad=pairs).tolist()
    assert cp.unpad(X, pads=np.array(pairs)).tolist() == cp.unpad(X, pads=pairs).tolist()
    columns = cp.im2col(X, np.int8(2), np.array(2)[()])
    assert cp.col2im(columns, np.array(X.shape), 2, 2).tolist() == cp.col2im(columns, X.shape, 2, 2).tolist()
    assert cp.reshape(np.ones((4, 2)), np.array([1, 2, 2, 2])).shape == (1, 2, 2, 2)


@pytest.mark.parametrize(
    "stride", [np.array([2.0, 1.0]), np.array([True, True]), np.array([1, 2, 3]), np.array(["2", "1"])]
)
def test_an_array_of_what_is_no_whole_number_is_refused(stride: Array) -> None:
    with pytest.raises(
        GeometryError, match=r"^stride: got .*, expected a whole number from 1, or a list of 2 \(H, W\)$"
    ):
        cp.conv(X, W, stride=stride)


# Axes in another order: hints, and nothing is turned


@pytest.mark.parametrize(
    ("x", "w", "hint"),
    [
        ((1, 2, 5, 5), (3, 3, 2, 4), r"np\.transpose\(w, \(3, 2, 0, 1\)\) here\)$"),
        ((1, 1, 28, 28), (5, 5, 1, 32), r"np\.transpose\(w, \(3, 2, 0, 1\)\) here\)$"),
        ((1, 5, 5, 3), (4, 3, 3, 3), r"\(an input \(N, H, W, C\) is np\.moveaxis\(x, -1, 1\) here\)$"),
        (
            (1, 5, 5, 2),
            (3, 3, 2, 4),
            r"\(an input .*moveaxis.* and filters .*, are np\.transpose\(w, \(3, 2, 0, 1\)\) here\)$",
        ),
        (
            (1, 8, 8, 3),  # RGB images and filters of Keras, whose 3 channels stand where ours stand, too
            (3, 3, 3, 8),
            r"\(an input .*moveaxis.* and filters .*, are np\.transpose\(w, \(3, 2, 0, 1\)\) here\)$",
        ),
        ((1, 8, 8, 3), (3, 3, 3, 3), r"\(an input \(N, H, W, C\) is np\.moveaxis\(x, -1, 1\) here\)$"),
        ((1, 2, 5, 5), (2, 4, 3, 3), r"after np\.swapaxes\(w, 0, 1\)\)$"),
        ((1, 2, 5, 5, 5), (3, 3, 3, 2, 4), r"np\.transpose\(w, \(4, 3, 0, 1, 2\)\) here\)$"),
        # what only happens to be 3, or is meant otherwise
        ((1, 3, 5, 5), (4, 2, 3, 3), r"1 groups\)$"),
        ((1, 3, 5, 5), (3, 1, 3, 3), r"1 groups\)$"),
        ((1, 1, 5, 5), (1, 3, 3, 3), r"1 groups\)$"),
        ((1, 1, 1, 3), (1, 3, 3, 3), r"1 groups\)$"),
    ],
)
def test_channels_that_lie_elsewhere_are_hinted_at(x: Any, w: Any, hint: str) -> None:
    with pytest.raises(GeometryError, match=rf"^channels: .*{hint}"):
        cp.conv(np.ones(x), np.ones(w))


@pytest.mark.parametrize(
    ("w", "advice"),
    [((3, 3, 2, 4), lambda w: np.transpose(w, (3, 2, 0, 1))), ((2, 4, 3, 3), lambda w: np.swapaxes(w, 0, 1))],
)
def test_the_advice_on_filters_fits(w: Any, advice: Callable[[Array], Array]) -> None:
    assert cp.conv(np.ones((1, 2, 5, 5)), advice(np.ones(w))).shape == (1, 4, 3, 3)


def test_transposed_filters_of_keras_are_hinted_at() -> None:
    with pytest.raises(
        GeometryError, match=r"filters \(kh, kw, F, C\), as Keras has them, are np\.transpose\(w, \(3, 2, 0, 1"
    ):
        cp.conv_transpose(np.ones((1, 2, 5, 5)), np.ones((3, 3, 4, 2)))


def test_a_dense_weight_of_pytorch_is_hinted_at(folder: Path) -> None:
    x, w = np.array([[1, 2]]), np.array([[1, 0], [0, 1], [1, 1]])
    with pytest.raises(
        GeometryError, match=r"^weights: got \(3, 2\), .*\(that is the transpose, as PyTorch has it: weights\.T\)$"
    ):
        cp.dense(x, w)
    assert cp.dense(x, w.T).tolist() == [[1, 2, 3]]
    np.savez("w.npz", **{"fc.weight": w})
    (folder / "n.yaml").write_text(
        "input: [[1, 2]]\nweights: {source: npz, path: w.npz}\nnetwork: {fc: {op: dense, bias: false}}\n"
    )
    line = refused(folder, "n.yaml")
    assert line.endswith("(that is the transpose, which network.fc.layout=out_in takes)")
    assert "0  2" in convpipe("n.yaml", "network.fc.layout=out_in").out.replace("n=0       2", "0  2")


def test_a_dense_weight_of_keras_is_hinted_at_in_the_other_layout(folder: Path) -> None:
    np.savez("w.npz", **{"fc.weight": np.ones((2, 3))})
    layers = {"fc": {"op": "dense", "bias": False, "layout": "out_in"}}
    with pytest.raises(ConfigError, match=r"^network\.fc\.weights: .*which network\.fc\.layout=in_out takes\)$"):
        rows_run(layers, [[1, 2]], weights=in_folder(folder, "w.npz"))


def test_the_filters_of_a_layer_are_hinted_at(folder: Path) -> None:
    np.savez("w.npz", **{"c.weight": np.ones((3, 3, 2, 4))})
    layers = {"c": {"op": "conv", "bias": False}}
    with pytest.raises(ConfigError, match=r"^network\.c\.weights: .*np\.transpose\(w, \(3, 2, 0, 1\)\) here\)$"):
        rows_run(layers, {"source": "integers", "shape": [1, 2, 5, 5]}, weights=in_folder(folder, "w.npz"))


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (4, 1), (1, 4)])
def test_a_bias_with_more_axes_is_hinted_at(folder: Path, shape: tuple[int, ...]) -> None:
    x, w, bias = np.ones((1, 2, 5, 5)), np.ones((4, 2, 3, 3)), np.arange(4).reshape(shape)
    with pytest.raises(GeometryError, match=r"^bias: got .*\(one axis is enough, as reshape\(-1\) makes it\)$"):
        cp.conv(x, w, bias)
    assert cp.conv(x, w, bias.reshape(-1))[0, :, 0, 0].tolist() == [18, 19, 20, 21]
    with pytest.raises(GeometryError, match=r"^bias: .*\(one axis is enough, as reshape\(-1\) makes it\)$"):
        cp.dense(np.ones((1, 2)), np.ones((2, 4)), bias)
    with pytest.raises(ConfigError, match=r"^bias\.values: .*\(one axis is enough, as reshape\(-1\) makes it\)$"):
        held(input="integers", filters="integers", bias=bias)


# The end of a range is not in it

LIMITS = {f"{sign}int{bits}": 2 ** (bits - (not sign)) for sign in ("", "u") for bits in (8, 16, 32, 64)}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("source", ["integers", "random"])
def test_high_is_the_first_number_beyond_a_dtype(source: str, dtype: str) -> None:
    low = 0 if dtype.startswith("u") else -LIMITS[dtype]
    chosen = {"input__shape": [40, 40], "input__dtype": dtype, "input__low": low, "input__high": LIMITS[dtype]}
    run = held(input=source, filters=[[1]], filters__dtype=dtype, lowering__stages=["pad"], conv__pad=1, **chosen)
    x = run["input"]
    assert (str(x.dtype), x.min() < low + LIMITS[dtype] // 16, x.max() >= LIMITS[dtype] // 16 * 15) == (
        dtype,
        True,
        True,
    )
    with pytest.raises(ConfigError, match=r"^input\.high: got "):
        held(input=source, filters=[[1]], **{**chosen, "input__high": LIMITS[dtype] + 1})


@pytest.mark.parametrize(("dtype", "beyond"), [("float16", 2**16), ("float32", 2**128)])
def test_floats_reach_up_to_their_largest(dtype: str, beyond: int) -> None:
    run = held(
        input="random", input__dtype=dtype, input__shape=[50, 50], input__low=0, input__high=beyond, filters=[[0]]
    )
    assert np.isfinite(run["input"]).all()
    assert run["input"].max() > beyond * 0.99


def test_weights_take_every_int8(folder: Path) -> None:
    layers = {"fc": {"op": "dense", "units": 50, "bias": False}}
    drawn = {"source": "integers", "dtype": "int8", "low": -128, "high": 128}
    run = rows_run(layers, {"source": "integers", "shape": [1, 100]}, weights=drawn)
    assert (run["fc/weights"].min(), run["fc/weights"].max()) == (-128, 127)


def test_a_label_beyond_int64_is_no_class(folder: Path) -> None:
    np.save("labels.npy", np.array([2**63], np.uint64))
    with pytest.raises(ConfigError, match=r"^labels: got 9223372036854775807 to 9223372036854775807, expected classes"):
        rows_run({"r": {"op": "relu"}}, [[1, 2]], labels=in_folder(folder, "labels.npy"))
