"""The points of a sweep: the product of Hydra's axes, zips, samples and lists, and what is refused."""

from __future__ import annotations

import random
import time
import tracemalloc
from pathlib import Path

import pytest
from sweep_cases import a_sweep, points

from convpipe.config.tree import config_folder
from convpipe.errors import ConfigError
from convpipe.sweeps.axes import Axis, Interval, Space, Swept, zipped
from convpipe.sweeps.listed import listed_points


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", [""]),
        ("seed=4", [""]),
        ("seed=1,2", ["seed=1", "seed=2"]),
        ("seed=1,2 keep=output,stages", ["seed=1 keep=output", "seed=1 keep=stages", "seed=2 keep=output",
                                         "seed=2 keep=stages"]),
        ("seed=range(3)", ["seed=0", "seed=1", "seed=2"]),
        ("seed=range(4,0,-2)", ["seed=4", "seed=2"]),
        ("input.low=range(0,1,0.25)", [f"input.low={low}" for low in ("0.0", "0.25", "0.5", "0.75")]),
        ("seed=choice(3,1,2)", ["seed=3", "seed=1", "seed=2"]),
        ("seed=sort(3,1,2)", ["seed=1", "seed=2", "seed=3"]),
        ("seed=sort(range(3),reverse=true)", ["seed=2", "seed=1", "seed=0"]),
        ("seed=tag(odd,choice(1,3))", ["seed=1", "seed=3"]),
        ("seed=int(choice(1.0,3.0))", ["seed=1", "seed=3"]),
        ("conv.stride=[1,2],3", ["conv.stride=[1,2]", "conv.stride=3"]),
        ("conv.stride=choice([1,2])", ["conv.stride=[1,2]"]),
        ("filters=glob(sobel*)", ["filters=sobel_x", "filters=sobel_y"]),
        ("filters=glob(*,exclude=[*_*,prewitt,n*,random,integers,lecture,classic,csv,pattern,safetensors,values])",
         [f"filters={name}" for name in ("box", "emboss", "gaussian", "identity", "laplacian", "sharpen")]),
        ("name='a\\'b','c,d'", ["name='a\\'b'", "name='c,d'"]),
        ("seed=1,2 seed=3,4", ["seed=3", "seed=4"]),
        ("seed=1,2 seed=3", [""]),
        ("conv.stride=1,2 conv.pad=0,1 sweep.zip=[conv.pad,conv.stride]",
         ["conv.pad=0 conv.stride=1", "conv.pad=1 conv.stride=2"]),
        ("conv.stride=1,2 seed=5,6 conv.pad=0,1 sweep.zip=[[conv.stride,conv.pad]]",
         ["conv.stride=1 conv.pad=0 seed=5", "conv.stride=1 conv.pad=0 seed=6", "conv.stride=2 conv.pad=1 seed=5",
          "conv.stride=2 conv.pad=1 seed=6"]),
        ("input=integers,random filters=integers,random seed=1,2 keep=output,stages "
         "sweep.zip=[[input,filters],[seed,keep]]",
         [f"input={source} filters={source} {rest}" for source in ("integers", "random")
          for rest in ("seed=1 keep=output", "seed=2 keep=stages")]),
    ],
)  # fmt: skip
def test_the_points(words: str, expected: list[str]) -> None:
    assert points(*words.split()) == expected


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ("seed=range(0,1000000000)", r"limits\.runs: got 1000000, expected at least 1000000000, the points of this"),
        ("seed=range(0,1000000000,0.5)", r"expected at least 2000000000"),
        ("seed=shuffle(range(0,1000000000))", r"expected at least 1000000000"),
        ("seed=range(0,100000) conv.stride=range(1,100000)", r"expected at least 9999900000"),
        ("seed=1,2,3 limits.runs=2", r"limits\.runs: got 2, expected at least 3"),
        ("seed=range(0,10,0)", r"seed: got seed=range\(0,10,0\), expected a step other than 0"),
        ("seed=range(0,1e400)", r"seed: got seed=range\(0,1e400\), expected a range of finite numbers"),
        ("seed=range(0,inf)", r"seed: got seed=range\(0,inf\), expected a range of finite numbers"),
        ("seed=range(nan,3)", r"expected a range of finite numbers"),
        ("seed=range(0,3,nan)", r"expected a range of finite numbers"),
        ("seed=shuffle(range(-inf,3))", r"expected a range of finite numbers"),
        ("input.low=interval(0,inf) sweep.sample=3", r"expected an interval\(low, high\) of numbers"),
        ("input.low=interval(nan,1) sweep.sample=3", r"expected an interval\(low, high\) of numbers"),
        ("seed=range(5,5)", r"seed: got seed=range\(5,5\), expected at least one value"),
        ("filters=glob(sobl*)", r"filters: got filters=glob\(sobl\*\), expected at least one value"),
        ("conv.stride=glob(*)", r"conv\.stride: got .*, expected at least one value"),
        ("input.low=interval(0,1)", r"input\.low: got an interval, expected sweep\.sample=COUNT beside it"),
        ("input.low=tag(log,interval(0,1)) sweep.sample=3", r"expected an interval\(low, high\) of numbers, without"),
        ("input.low=interval(2,1) sweep.sample=3", r"expected an interval\(low, high\)"),
        (
            "seed=1,2 sweep.zip=[seed,conv.pad]",
            r"sweep\.zip: got conv\.pad, expected a key that is swept, once .*\(seed",
        ),
        ("seed=1,2 conv.pad=0,1,2 sweep.zip=[seed,conv.pad]", r"sweep\.zip: .* \(seed has 2, conv\.pad has 3\)"),
        ("seed=1,2 conv.pad=0,1 sweep.zip=[[seed,conv.pad],[seed]]", r"sweep\.zip: got seed, expected a key that"),
        ("seed=1,2 sweep.zip=[[seed],keep]", r"sweep\.zip: got .*, expected one list of keys, or several"),
        ("seed=1,2 sweep.zip=[]", r"sweep\.zip: got \[\], expected a list of at least one value"),
        ("sweep.zip=[seed]", r"expected a key that is swept, once in all lists \(there is none\)"),
        ("sweep.sample=0", r"sweep\.sample: got 0, expected a whole number from 1"),
        ("workers=1,2", r"workers: got 1,2, expected one value for the whole sweep"),
        ("where=a,b", r"where: got a,b, expected one value for the whole sweep"),
        ("sweep.seed=1,2", r"sweep\.seed: got 1,2, expected one value"),
        ("limits.runs=1,2", r"limits\.runs: got 1,2, expected one value"),
        ("cluster=dask,ray", r"cluster: got dask,ray, expected one value"),
        (
            "sweep.points=resnet5",
            r"sweep\.points: got resnet5, expected a \.csv, .*mobilenet_v2.* \(did you mean resnet50",
        ),
        ("sweep.points=none.csv", r"sweep\.points: got none\.csv, expected a file of points \(No such file"),
        ("seed=1,,2", r"seed: got 1,,2, expected key=value in Hydra's grammar"),
        ("seed=range(1,2", r"expected key=value in Hydra's grammar"),
        (
            "seed=nothing(1,2)",
            r"seed: got nothing\(1,2\), expected key=value in Hydra's grammar \(.*nothing.*\)",
        ),
        ("seed=range(a)", r"expected key=value in Hydra's grammar"),
    ],
)
def test_what_is_refused(words: str, match: str) -> None:
    start = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match=match):
            a_sweep(*words.split())
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 10  # half of one at most


def test_the_last_word_on_a_key_counts() -> None:
    assert [fixed.text for fixed in a_sweep("seed=5", "conv.pad=1", "seed=1,2").fixed] == ["conv.pad=1"]
    assert points("seed=5", "seed=1,2") == ["seed=1", "seed=2"]
    assert [fixed.text for fixed in a_sweep("seed=1,2", "conv.pad=1", "seed=5").fixed] == ["conv.pad=1", "seed=5"]
    assert points("seed=1,2", "seed=5") == [""]


def test_settings_that_points_may_have_of_their_own() -> None:
    words = ["name=a,b", "root=x,y", "threads=1,2", "limits.memory=1GiB,2GiB", "timing.repeats=1,2"]
    assert a_sweep(*words).space.size == 2**5


def test_a_shuffled_axis_has_the_same_order_every_time() -> None:
    found = points("seed=shuffle(range(20))")
    assert found == points("seed=shuffle(range(20))")
    assert sorted(found) == sorted(points("seed=range(20)"))
    assert found != points("seed=range(20)")
    assert found != points("seed=shuffle(range(20))", "sweep.seed=1")
    assert points("seed=shuffle(1,2,3,4,5,6)") == points("seed=shuffle(1,2,3,4,5,6)")


# Samples


def test_a_sample_is_of_the_product_without_repetition() -> None:
    whole = points("seed=range(30)", "conv.stride=1,2,3")
    found = points("seed=range(30)", "conv.stride=1,2,3", "sweep.sample=20")
    assert len(set(found)) == 20
    assert found == [point for point in whole if point in found]  # in the product's order
    assert found == points("seed=range(30)", "conv.stride=1,2,3", "sweep.sample=20")
    assert found != points("seed=range(30)", "conv.stride=1,2,3", "sweep.sample=20", "sweep.seed=1")
    assert points("seed=range(5)", "sweep.sample=99") == points("seed=range(5)")


def test_a_sample_of_a_huge_space_costs_little() -> None:
    start = time.process_time()
    words = ["seed=range(1000000)", "conv.pad=range(1000000)", "limits.runs=1000000", "sweep.sample=5"]
    assert len(set(points(*words))) == 5
    assert time.process_time() - start < 10  # to look at each would take days


@pytest.mark.parametrize(("start", "end", "kind"), [(0, 3, int), (0, 1.5, float), (0.5, 3, float), (0.5, 1.5, float)])
def test_only_an_interval_between_whole_numbers_is_of_whole_numbers(start: float, end: float, kind: type) -> None:
    numbers = random.Random(0)
    drawn = [Interval("input.low", start, end).draw(numbers).value for _ in range(50)]
    assert {type(value) for value in drawn} == {kind}
    assert start <= min(drawn) < max(drawn) <= end


def test_intervals_are_drawn_from() -> None:
    words = ["input.low=interval(0,1)", "conv.pad_value=int(interval(1,3))", "seed=1,2", "sweep.sample=60"]
    found = [dict(part.split("=") for part in point.split()) for point in points(*words)]
    lows = [float(point["input.low"]) for point in found]
    assert len(set(lows)) == 60
    assert 0 <= min(lows) < 0.2 < 0.8 < max(lows) <= 1
    assert {point["conv.pad_value"] for point in found} == {"1", "2", "3"}
    assert {point["seed"] for point in found} == {"1", "2"}
    assert points(*words) == points(*words)


def test_drawing_is_pinned() -> None:
    # a sample named by its seed shall be the same in years to come
    axis = Axis((Swept("seed", range(1000), False, 0),))
    space = Space((axis,), (Interval("input.low", 0.0, 1.0),), sample=3, seed=7)
    assert [" ".join(setting.text for setting in point) for point in space.points()] == [
        "seed=154 input.low=0.3948234964231735",
        "seed=331 input.low=0.04828642362681235",
        "seed=970 input.low=0.8212742919913083",
    ]


# The product


def test_points_by_their_number_are_the_product() -> None:
    from itertools import product

    numbers = random.Random(0)
    for _ in range(50):
        sizes = [numbers.randint(1, 4) for _ in range(numbers.randint(0, 4))]
        axes = tuple(Axis((Swept(f"k{n}", range(size), False, n),)) for n, size in enumerate(sizes))
        found = [tuple(setting.value for setting in point) for point in Space(axes).points()]
        assert found == list(product(*map(range, sizes)))


def test_zipped_axes_stand_at_the_first_of_them() -> None:
    axes = [Axis((Swept(key, "xy", False, 0),)) for key in "abcd"]
    merged = zipped(axes, [["d", "b"], ["c", "a"]])
    assert [axis.keys for axis in merged] == [("c", "a"), ("d", "b")]


# Lists of points


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", 'seed,conv.stride\n1,"[1,2]"\n2,\n', ["seed=1 conv.stride=[1,2]", "seed=2"]),
        ("a.csv", "\ufeffseed\r\n1\r\n\r\n2\r\n", ["seed=1", "seed=2"]),
        ("A.CSV", "seed\n1\n", ["seed=1"]),
        ("A.Yaml", "- seed: 1\n", ["seed=1"]),
        ("a.csv", "filters,seed\nsobel_x,1\nbox,2\n", ["filters=sobel_x seed=1", "filters=box seed=2"]),
        ("a.csv", 'seed , conv.stride\n 1\t, "[1,2]"\n2, \n', ["seed=1 conv.stride=[1,2]", "seed=2"]),
        ("a.yaml", "- {seed: 1, conv.stride: [1, 2]}\n- seed: 2\n", ["seed=1 conv.stride=[1,2]", "seed=2"]),
        (
            "a.yml",
            "- conv: {stride: 2, dtype: null}\n  filters.normalize: no\n",
            ["conv.stride=2 conv.dtype=null filters.normalize=false"],
        ),
        ("a.yaml", "- input.low: 1.0e-5\n- input.low: 1e-5\n", ["input.low=1e-05", "input.low=1e-5"]),
    ],
)
def test_listed_points(name: str, content: str, expected: list[str], folder: Path) -> None:
    (folder / name).write_text(content)
    assert points(f"sweep.points={name}") == expected
    assert points(f"sweep.points={folder / name}", "keep=output,stages") == [
        f"{point} keep={keep}" for point in expected for keep in ("output", "stages")
    ]


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.csv", "", r"sweep\.points: got a\.csv, expected at least one point"),
        ("a.csv", "seed,conv.stride\n", r"expected at least one point"),
        ("a.csv", "input.shape,seed\n[1,3,8,8],1\n", r"sweep\.points: row 1: got 5 cells, expected 2, .*needs quotes"),
        ("a.csv", "seed,conv.stride\n1,2\n3\n", r"row 2: got 1 cells, expected 2"),
        ("a.csv", "seed,seed\n1,2\n", r"header: got seed,seed, expected keys, each of them once"),
        ("a.csv", "seed,\n1,2\n", r"header: got seed,, expected keys"),
        ("a.csv", "seed, seed\n1,2\n", r"header: got seed,seed, expected keys, each of them once"),
        ("a.csv", "seed,keep\n,\n", r"got a\.csv, expected at least one point"),
        ("a.csv", 'seed\n"1\n', r"expected a file of points \(unexpected end of data\)"),
        ("a.csv", 'seed\n"1,2"\n', r"point 1: seed: got 1,2, expected one value of convpipe's own, \[a list\]"),
        ("a.csv", "seed\n1 2)\n", r"point 1: seed: got 1 2\), expected key=value in Hydra's grammar"),
        (
            "a.csv",
            "hydra.run.dir\n/tmp\n",
            r"point 1: hydra\.run\.dir: got /tmp, expected of Hydra's own settings only",
        ),
        ("a.csv", "a._target_\nos.system\n", r"point 1: a\._target_: got os\.system, expected values only"),
        ("a.csv", "workers\n2\n", r"point 1: workers: got 2, expected one value for the whole sweep"),
        ("a.yaml", "seed: 1\n", r"expected a list of points, each a mapping"),
        ("a.yaml", "- 1\n", r"expected a list of points, each a mapping"),
        ("a.yaml", "- {}\n", r"expected a list of points, each a mapping"),
        ("a.yaml", "[]", r"expected at least one point"),
        ("a.yaml", "- {a: b: c}", r"expected a file of points"),
        ("a.yaml", "- &a {seed: 1}\n- *a\n", r"expected a file of points \(aliases are not for plain values"),
        (
            "a.yaml",
            "- seed: 1\n- keep: output\n  seed: 1\n  seed: 2\n",
            r"\(line 4: got seed again, expected a key once",
        ),
        ("a.yaml", "- conv: {pad: 1, pad: 2}\n", r"a file of points \(line 1: got pad again, expected a key once"),
        ("a.yaml", "- seed: 1\n- {conv.pad: 1, conv: {pad: 2}}\n", r"point 2: got conv\.pad, expected each key once"),
        ("a.yaml", "- seed: {a: [1, {b: 2}]}\n", r"expected key=value in Hydra's grammar"),
    ],
)
def test_lists_that_are_refused(name: str, content: str, match: str, folder: Path) -> None:
    (folder / name).write_text(content)
    with pytest.raises(ConfigError, match=match):
        a_sweep(f"sweep.points={name}")


def test_a_file_that_is_no_text(folder: Path) -> None:
    for name in ("a.csv", "a.yaml"):
        (folder / name).write_bytes(b"seed\n\xff\xfe\n")
        with pytest.raises(ConfigError, match=r"sweep\.points: got a\..*, expected a file of points"):
            a_sweep(f"sweep.points={name}")


@pytest.mark.parametrize("words", ["seed=5", "seed=5,6", "seed=interval(0,1) sweep.sample=3"])
def test_a_listed_key_is_set_once(words: str, folder: Path) -> None:
    (folder / "a.csv").write_text("seed\n1\n2\n")
    with pytest.raises(ConfigError, match=r"seed: got another value, expected none beside sweep\.points"):
        a_sweep("sweep.points=a.csv", *words.split())


def test_every_shipped_list_can_be_read() -> None:
    found = sorted((config_folder() / "points").glob("*.csv"))
    assert [path.stem for path in found] == ["alexnet", "mobilenet_v2", "resnet50", "vgg16"]
    for path in found:
        assert listed_points(path)
        assert len(points(f"sweep.points={path.stem}")) == len(listed_points(path))


# Sweeps in files


def test_an_experiments_axes_count_less_than_the_command_lines(folder: Path) -> None:
    (folder / "experiment").mkdir()
    (folder / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nname: mine\nhydra:\n  sweeper:\n    params:\n"
        "      conv.stride: 1,2\n      seed: range(2)\n      conv.dtype: null\n      keep: output\n"
    )
    words = ["--config-dir", str(folder), "experiment=mine"]
    of_file = [f"conv.stride={stride} seed={seed}" for stride in (1, 2) for seed in (0, 1)]
    assert points(*words) == of_file
    assert points(*words, "conv.pad=0,1") == [f"{point} conv.pad={pad}" for point in of_file for pad in (0, 1)]
    assert points(*words, "seed=3") == ["conv.stride=1", "conv.stride=2"]
    assert len(points(*words, "seed=range(10)")) == 20
