"""Every bad setting ends with exit 2 and one line that names the key; and what makes two configs the same run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cli_runs import Answer, contents, convpipe, identity, job, refused

from convpipe import sources
from convpipe.cli import main as cli
from convpipe.config.read import read_job
from convpipe.config.settings import EXECUTION_KEYS, SPEC_KEYS
from convpipe.config.tree import config_folder
from convpipe.errors import ConfigError
from convpipe.fields import settings_of
from convpipe.graph.spec import LoweringSettings
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.sources.pattern import Pattern

pytestmark = pytest.mark.usefixtures("folder")  # no test writes into the checkout


# Overrides as a shell splits them at blanks, and the line they end with.
UNKNOWN_KEYS = [
    ("sed=1", r"sed: got 1, expected one of the keys: name, .*experiment \(did you mean seed\?\)"),
    ("inputt=random", r"inputt: got random, expected one of the keys: .* \(did you mean input\?\)"),
    ("stride=2", r"stride: got 2, expected one of the keys: .* \(did you mean conv\.stride\?\)\Z"),
    ("overflow=saturate", r"overflow: got saturate, .* \(did you mean conv\.overflow\?\)\Z"),
    ("input.stride=2", r"input\.stride: got 2, .* of input: source, .* \(did you mean conv\.stride\?\)\Z"),
    ("input.path=m.csv", r"input\.path: got m\.csv, .* \(input=csv, image, npy, npz, safetensors have it\)\Z"),
    ("bias.low=3", r"bias\.low: got 3, .* \(bias=integers, pattern, random have it\)\Z"),
    ("cluster.address=x", r"cluster\.address: got x, .* \(it goes with a choice of cluster\)\Z"),
    (
        "experiment=tiny conv.stride=2",
        r"conv\.stride: .*below conv, which is empty .*of a layer it is network\.LAYER\.stride\)\Z",
    ),
    ("experiment=tiny network.relu1.slope=2", r"network\.relu1\.slope: got 2, .* \(op: leaky_relu has it\)\Z"),
    ("+input.path=x", r"input\.path: got x, .* \(input=csv, image, npy, npz, safetensors have it\)\Z"),
    ("conv.strid=2", r"conv\.strid: got 2, .* of conv: stride, pad, .*overflow.*\(did you mean conv\.stride\?\)"),
    ("convv.stride=1", r"convv\.stride: got 1, .*\(did you mean conv\.stride\?\)"),
    ("input.foo.bar=1", r"input\.foo\.bar: got 1, expected one of the keys of input: source, values, dtype"),
    ("input.mode=grey", r"input\.mode: got grey, expected one of the keys of input: source, values, dtype"),
    ("seed.x=1", r"seed\.x: got 1, expected seed itself, as nothing is below it"),
    ("conv.stride.x=1", r"conv\.stride\.x: got 1, expected conv\.stride itself"),
    ("limits.foo=1", r"limits\.foo: got 1, expected one of the keys of limits: memory"),
    ("timing.repeat=1", r"timing\.repeat: got 1, .*\(did you mean timing\.repeats\?\)"),
    ("seed=x sed=1", r"sed: got 1, .*did you mean seed"),
    ("sed=1 see=1", r"sed: got 1, .*did you mean seed"),
    ("+extra=1", r"extra: got 1, expected one of the keys: seed, "),
    ("+input.extra=1", r"input\.extra: got 1, expected .*source, values, dtype"),
    ("+input.extra.more=1", r"input\.extra: got \{'more': 1\}, expected .*source, values, dtype"),
    ("++input.extra=1", r"input\.extra: got 1, expected .*source, values, dtype"),
    ("+conv.stride.x=1", r"conv\.stride: got \{'x': 1\}, expected a whole number from 1"),
    ("~foo", r"foo: got nothing, expected one of the keys"),
    ("~conv.strid", r"conv\.strid: got nothing, .*\(did you mean conv\.stride\?\)"),
    ("~seed", r"seed: got nothing, expected a value for it"),
    ("~conv", r"conv: got nothing, expected a choice of conv, or a network"),
    ("~input", r"input: got nothing, expected a value for it"),
    ("~seed=5", r"~seed: got 5, expected its value 0, or none at all"),
    ("+seed=1", r"seed: got 1, expected no '\+', as the key is there already"),
]
CHOICES = [
    ("input=rando", r"input: got rando, expected one of csv, digits, image, integers, .*\(did you mean random\?\)"),
    ("filters=sobelx", r"filters: got sobelx, expected one of .*\(did you mean sobel_x\?\)"),
    ("conv=defalt", r"conv: got defalt, expected one of .*default.*\(did you mean default\?\)"),
    ("lowering=im2cal", r"lowering: got im2cal, expected one of .*\(did you mean im2col\?\)"),
    ("experiment=lecture3d", r"experiment: got lecture3d, expected one of .*\(did you mean lecture_3d\?\)"),
    ("experiment=a/b", r"experiment: got a/b, expected one of .*edges, "),
    ("input=", r"input: got nothing, expected one of csv, digits, image, "),
    ("experiment=", r"experiment: got nothing, expected one of "),
    ("input=null", r"input: got null, expected the name of a choice of input"),
    ("experiment=null", r"experiment: got null, .*\(~experiment leaves it out\)"),
    ("conv=5", r"conv: got 5, expected the name of a choice of conv"),
    ("input=[1]", r"input: got \[1\], expected the name of a choice of input"),
    ("conv=[nope]", r"conv: got nope, expected a config of that name"),
    ("hydra/launcher=nope", r"hydra/launcher: got nope, expected one of .*basic"),
    ("hydra/sweeper=nope", r"hydra/sweeper: got nope, expected convpipe, which runs every point of all axes"),
    ("input@filters=random", r"input@filters: got random, expected a group without '@'"),
    ("+input@foo=random", r"input@foo: got random, expected a group without '@'"),
]
CONVOLUTION = [
    *(
        (f"conv.stride={value}", rf"conv\.stride: got {shown}, expected a whole number from 1, or a list of 2 \(H, W\)")
        for value, shown in [
            ("0", "0"),
            ("-1", "-1"),
            ("1.5", r"1\.5"),
            ("abc", "abc"),
            ("true", "True"),
            ("null", "nothing"),
            ("", "nothing"),
            ("[1,2,3]", r".1, 2, 3."),
            ("{a:1}", r"\{'a': 1\}"),
        ]
    ),
    ("conv.dilation=0", r"conv\.dilation: got 0, expected a whole number from 1, or a list of 2"),
    ("conv.dilation=[1,a]", r"conv\.dilation: got .1, 'a'., expected a whole number from 1"),
    *(
        (f"conv.pad={value}", r"conv\.pad: got .*, expected a whole number from 0, .*same_lower")
        for value in ("-1", "[1,2,3]", "[[1],[2]]", "null", "", "1.5")
    ),
    ("conv.pad=sam", r"did you mean same\?"),
    ("conv.groups=0", r"conv\.groups: got 0, expected a whole number from 1"),
    ("conv.groups=abc", r"conv\.groups: got abc, expected a whole number from 1"),
    ("conv.groups=2", r"conv\.groups: got 2, expected a divisor of both the 3 input channels and the 1 filters"),
    ("conv.groups=99999999999999999999999", r"conv\.groups: got 9+, expected a divisor"),
    ("conv.pad_mode=reflct", r"conv\.pad_mode: got reflct, expected one of .*\(did you mean reflect\?\)"),
    ("conv.pad_mode=1", r"conv\.pad_mode: got 1, expected"),
    ("conv.pad_mode=reflect conv.pad=9", r"conv\.pad: got \[9, 9\], expected at most 3 along H"),
    *((f"conv.pad_value={value}", rf"conv\.pad_value: got {value}, expected a number") for value in ("abc", "nan")),
    ("conv.pad_value=inf", r"conv\.pad_value: got inf, expected a number"),
    ("conv.pad=1 conv.pad_value=1.5", r"conv\.pad_value: got 1\.5, expected a whole number"),
    ("conv.pad=1 conv.pad_value=100000", r"conv\.pad_value: got 100000, .*int16 .*32767"),
    ("conv.dtype=int17", r"conv\.dtype: got int17, expected one of .*\(did you mean int16\?\)"),
    ("conv.dtype=5", r"conv\.dtype: got 5, expected one of"),
    ("conv.dtype=bool", r"conv\.dtype: got bool, expected one of"),
    (
        "conv.dtype=uint8",
        r"conv\.dtype: got uint8, expected a dtype that holds every sum \(the exact sum -9 .*\)",
    ),  # the lecture's -9
    ("conv.overflow=eror", r"conv\.overflow: got eror, .*\(did you mean error\?\)"),
    ("conv={stride:0}", r"conv\.stride: got 0, expected a whole number from 1"),
    ("conv.dilation=9999999999999999999999", r"filters\.kernel: got 3, expected at most 4 along H"),
    ("conv.pad=99999999999999999999999999", r"limits\.memory: got "),
]
SOURCES = [
    ("input=random input.shape=[1,4,8,8]", r"filters: got 3, expected 4 channels in each filter"),
    ("input=random input.shape=[1,3,2,2]", r"filters\.kernel: got 3, expected at most 2 along H"),
    *(
        (f"input=random input.shape={shape}", r"input\.shape: got .*, expected 4 axes \(N, C, H, W\), or 3 or 5")
        for shape in ("[3]", "[1,2,3,4,5,6]")
    ),
    ("input=random input.shape=[1,3,8]", r"filters: got .*, expected 3 axes"),
    ("input=random input.shape=[1,3,8,8,8]", r"filters: got .*, expected 5 axes"),
    *((f"input=random input.shape={shape}", r"input\.shape: got .*, expected a list") for shape in ("5", "[]", "null")),
    ("input=random input.shape=[1,-3,4,4]", r"input\.shape\[1\]: got -3, expected a whole number from 0"),
    ("input=random input.shape=[1,3.5,4,4]", r"input\.shape\[1\]: got 3\.5, expected a whole number"),
    ("input=random input.shape=[1,3,1e400,4]", r"input\.shape\[2\]: got inf, expected a whole number"),
    ("input=random input.shape=[1,3,99999999999999999999,4]", r"input\.shape: got .*, expected .*2\*\*63"),
    ("input=random input.shape=[1,3,9999999999,99]", r"limits\.memory: got .*, expected at least .*TiB"),
    ("input=random input.dtype=float99", r"input\.dtype: got float99, .*\(did you mean float64\?\)"),
    ("input=random input.low=a", r"input\.low: got a, expected a number"),
    ("input=random input.low=2", r"input\.high: got 1, expected a number above low, 2"),
    ("input=random input.distribution=normul", r"input\.distribution: .*\(did you mean normal\?\)"),
    ("input=random input.std=-1", r"input\.std: got -1, expected a number from 0"),
    ("input=integers input.low=-99999999999999999999", r"input\.low: got -9+, expected .*int16"),
    ("input.source=randm", r"input\.source: got randm, expected one of .*\(did you mean random\?\)"),
    ("input.source=null", r"input\.source: got nothing, expected one of csv"),
    ("input.source=5", r"input\.source: got 5, expected one of csv"),
    ("input.source=random", r"input\.values: got .*, expected .*shape"),
    ("input=[random,integers]", r"input\.distribution: got uniform, expected .*low, high, shape"),
    ("filters.source=foo", r"filters\.source: got foo, expected one of classic"),
    ("filters.source=image", r"filters\.source: got image, expected one of classic, csv"),
    ("input.values=5", r"input\.values: got 5, expected a list"),
    ("input.values=[[1,2],[3]]", r"input\.values\[1\]: got \[3\], expected .*shape \[2\]"),
    ("input.values=[]", r"input\.values: got an empty list"),
    ("input.values=[1]", r"input\.shape: got .1,., expected 4 axes"),
    ("input.values=[[[[a]]]]", r"input\.values\[0\]\[0\]\[0\]\[0\]: got a, expected a number"),
    ("input.values=[[[[1000]]]] input.dtype=int8", r"input\.values\[0\]\[0\]\[0\]\[0\]: got 1000, .*-128 to 127"),
    *(
        (f"filters=random filters.count={value}", r"filters\.count: got .*, expected a whole number from 1")
        for value in ("0", "a")
    ),
    ("filters=random filters.count=99999999999999999999", r"filters\..*: got .*, expected .*2\*\*63"),
    *(
        (f"filters=random filters.kernel={value}", r"filters\.kernel: got .*, expected a whole number from 1")
        for value in ("0", "[3]", "a")
    ),
    ("filters=random filters.kernel=99", r"filters\.kernel: got 99, expected at most 4 along H"),
    ("filters=random filters.kernel=[3,5]", r"filters\.kernel: got 5, expected at most 4 along W"),
    ("filters=classic filters.names=[sobel_q]", r"filters\.names\[0\]: got sobel_q, .*did you mean sobel_"),
    ("filters=classic filters.names=sobel_x", r"filters\.names: got sobel_x, expected a list"),
    ("filters=classic filters.channels=x", r"filters\.channels: got x, expected one of each, sum"),
    ("filters=classic filters.kernel=5", r"filters\.kernel: got 5, expected 3, the only size of sobel_x"),
    ("filters=lecture_1x1", r"filters: got 1, expected 3 channels in each filter"),
]
STAGES = [
    ("lowering.stages=[]", r"lowering\.stages: got \[\], expected a list of at least one stage"),
    ("lowering.stages=pad", r"lowering\.stages: got pad, expected one of auto, im2col, implicit, quantized, or a list"),
    ("lowering.stages=[1,2]", r"lowering\.stages\[0\]: got 1, expected one of "),
    ("lowering.stages=[[pad]]", r"lowering\.stages\[0\]: got \['pad'\], expected one of "),
    ("lowering.stages=[{pad:1}]", r"lowering\.stages\[0\]\.pad: got 1, expected settings of the stage"),
    ("lowering.stages=[pad,{clip:{low:x}}]", r"lowering\.stages\[1\]\.clip\.low: got x, expected a number"),
    ("lowering.stages=[pad,im2cool,fil2col,matmul,reshape]", r"lowering\.stages\[1\]: .*\(did you mean im2col\?\)"),
    ("lowering.stages=[im2col,fil2col,matmul,reshape]", r"lowering\.stages: got im2col, .*'padded'.*\(there: input"),
    ("lowering.stages=[pad,fil2col,matmul,reshape]", r"lowering\.stages: got matmul, .*'columns'"),
    ("lowering.stages=[pad,pad,im2col,fil2col,matmul,reshape]", r"lowering\.stages: got pad, .*there already"),
    (
        "lowering.stages=[pad,im2col,fil2col,implicit_gemm]",
        r"lowering\.stages\[3\]: got implicit_gemm, expected the padded",
    ),
    ("lowering={stages:[fil2col]}", r"lowering\.stages: got input, .*nothing reads it"),
]
EXECUTION = [
    *(
        (f"seed={value}", r"seed: got .*, expected a whole number from 0 to 18446744073709551615")
        for value in ("abc", "é", "-1", "1.5", "true", "", "18446744073709551616", "1e999")
    ),
    ("++seed=x", r"seed: got x, expected a whole number"),
    *(
        (f"name={value}", r"name: got .*, expected a folder name")
        for value in ("../x", ".hidden", "a/b", "", "null", "..", "a" * 201, "[a]")
    ),
    *((f"root={value}", r"root: got .*, expected a text") for value in ("", "null")),
    *((f"keep={value}", r"keep: got .*, expected one of output, layers, stages, output") for value in ("al", "1")),
    *(
        (f"{key}={value}", rf"{key}: got .*, expected true or false")
        for key in ("dry_run", "trace")
        for value in ("yes", "1")
    ),
    *(
        (f"{key}={value}", rf"{key}: got .*, expected a whole number from 1 to")
        for key in ("workers", "threads", "timing.repeats")
        for value in ("0", "a", "99999999999")
    ),
    *(
        (f"limits.memory={value}", r"limits\.memory: got .*, expected a size such as 500MB")
        for value in ("0", "abc", "-5", "1.5", "", "5XB")
    ),
    ("limits.memory=1KB", r"limits\.memory: got 1000 B, expected at least .*KiB, this run's peak"),
    ("dry_run=true limits.memory=1e3", r"limits\.memory: got 1000\.0, expected a size"),
    *(
        (f"{group}={value}", rf"{group}: got .*, expected a group of settings")
        for group in ("limits", "timing")
        for value in ("5", "null")
    ),
    ("trace=true", r"trace: got True, expected keep=stages beside it"),
    ("trace=true keep=stages lowering=implicit", r"trace: got True, expected the stages pad and im2col"),
]
GRAMMAR = [
    ("seed=1,2", r"seed: got 1,2, expected one value, \[a list\] or quotes, or -m for a sweep"),
    ("input=random,integers", r"input: got random,integers, expected one value.*-m for a sweep"),
    *(
        (f"seed={value}", r"seed: got .*, expected one value, \[a list\], or -m for a sweep")
        for value in ("range(3)", "choice(1,2)", "glob(*)")
    ),
    *(
        (
            f"seed={value}",
            r"seed: got .*, expected key=value in Hydra's grammar \(.*(brackets do not match|without the other one)\)",
        )
        for value in ("[1", "}", "a:b{", "${oc.env:NOPE", "f(", "'a")
    ),
    *(
        (text, r".*: got no '=' with a key before it, expected a setting as key=value")
        for text in ("=1", "seed=1 =2", "seed=1 seed", "+=1", "@=1")
    ),
    ("seed", r"seed: no such command; there are verify, .*, and settings as key=value"),
    ("verif x", r"verif: no such command; .*\(did you mean verify\?\)"),
    ("seed=???", r"seed: got nothing, expected a value for it"),
    ("name=???", r"name: got nothing, expected a value for it"),
    ("input=image", r"input\.path: got nothing, expected a value for it"),
    ("input=npy", r"input\.path: got nothing, expected a value for it"),
    ("filters=npy", r"filters\.path: got nothing, expected a value for it"),
    ("seed=${foo}", r"seed: got \$\{foo\}, expected a value that can be worked out \(.*foo.*\)"),
    ("seed=${seed}", r"seed: got \$\{seed\}, expected a value that can be worked out \(.+\)"),
    (
        "seed=${oc.env:NOPE_NOT_SET}",
        r"seed: got \$\{oc\.env:NOPE_NOT_SET\}, expected references .*\(.*NOPE_NOT_SET.*\)",
    ),
    ("seed=${nope:1}", r"seed: got \$\{nope:1\}, expected references to other settings alone"),
    (
        "input.values=" + "[" * 3000 + "]" * 3000,
        r"input\.values: got \[+\.\.\., expected at most 60 brackets within each other",
    ),
]
FILES = [
    *(
        (f"input={kind} input.path={path}", r"input\.path: got .*, expected .*")
        for kind in ("npy", "image")
        for path in ("/nope", "/", "/dev/zero", "/etc/passwd")
    ),
    ("input=npy input.path=", r"input\.path: got nothing, expected a text"),
    ("input=image input.path=/etc/passwd input.mode=gray", r"input\.mode: .*\(did you mean grey\?\)"),
]


@pytest.mark.parametrize(
    ("words", "line"),
    UNKNOWN_KEYS + CHOICES + CONVOLUTION + SOURCES + STAGES + EXECUTION + GRAMMAR + FILES,
    ids=lambda value: str(value)[:60],
)
def test_a_bad_setting_is_one_line_and_writes_nothing(words: str, line: str, folder: Path) -> None:
    assert re.search(rf"\A(?:{line})" if not line.startswith("did") else line, refused(folder, *words.split()))


@pytest.mark.parametrize(
    "words",
    [
        "conv.pad=[[0,1],[2,0]]",
        "input=integers filters=integers",
        "lowering={}",
        "conv.stride=99999999999999999999999999",
        "~experiment",
        "name=a.b-c_9",
    ],
)
def test_odd_but_legal(words: str, folder: Path) -> None:
    assert convpipe(*words.split()).code == 0


@pytest.mark.parametrize("axes", [3, 4, 5])
def test_the_rank_follows_the_input(axes: int, folder: Path) -> None:
    shape, kernel = [1, 3, 8, 8, 8][:axes], [3, 3, 3][: axes - 2]
    answer = convpipe("input=integers", f"input.shape={shape}", "filters=integers", f"filters.kernel={kernel}")
    assert answer.code == 0
    assert "feature map" in answer.out


def hostile_npy(kind: str, path: Path) -> str:
    """Write one kind of bad .npy file; gives the words of the error."""
    array = np.arange(48, dtype=np.int16).reshape(1, 3, 4, 4)
    np.save(path, array)
    content = path.read_bytes()
    if kind == "pickle":
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
        return "numbers of dtype"
    changed = {
        "truncated": (content[:-3], "96 bytes of data"),
        "trailing": (content + b"x", "96 bytes of data"),
        "gigantic": (content.replace(b"(1, 3, 4, 4)", b"(9999999999,)"), "bytes of data"),
        "lying": (content.replace(b"(1, 3, 4, 4)", b"(1, 3, 4, 5)"), "120 bytes of data"),
        "code": (content.replace(b"(1, 3, 4, 4)", b"exit(0)     "), "plain numbers|a shape"),
        "empty": (b"", "a .npy file"),
    }[kind]
    path.write_bytes(changed[0])
    return changed[1]


@pytest.mark.parametrize("kind", ["pickle", "truncated", "trailing", "gigantic", "lying", "code", "empty"])
@pytest.mark.parametrize("group", ["input", "filters"])
def test_a_hostile_npy(kind: str, group: str, tmp_path: Path, folder: Path) -> None:
    expected = hostile_npy(kind, tmp_path / "x.npy")
    line = refused(folder, f"{group}=npy", f"{group}.path={tmp_path}/x.npy")
    assert re.match(rf"{group}\.path: got .*x\.npy, expected .*({expected})", line)


def test_an_image_cut_short(tmp_path: Path, folder: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    image.fromarray(pixels).save(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:1000])
    line = refused(folder, "input=image", f"input.path={tmp_path}/x.png", "filters=sobel_x")
    assert re.match(r"input\.path: got .*x\.png, expected an image file that can be read", line)


# --- the helper itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "out", "err", "file", "wrong"),
    [
        (0, "", "convpipe: x\n", "", "exit 0"),
        (2, "x", "convpipe: x\n", "", "printed"),
        (2, "", "convpipe: x\nmore\n", "", "not one line"),
        (2, "", "Traceback\n", "", "not one line"),
        (2, "", "", "", "not one line"),
        (2, "", "convpipe: unexpected KeyError\n", "", "unexpected"),
        (2, "", "convpipe: x\n", "left", "wrote"),
    ],
)
def test_the_helper_finds_a_planted_wrong_answer(
    code: int, out: str, err: str, file: str, wrong: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(*words: str) -> Answer:
        if file:
            (folder / file).mkdir()
        return Answer(code, out, err)

    monkeypatch.setattr("cli_runs.convpipe", main)
    with pytest.raises(AssertionError, match=wrong):
        refused(folder, "x")


# --- identity ----------------------------------------------------------------------------------------------------

DEFAULT = "4014ffa24254"  # the main job's, as the README prints it


@pytest.mark.parametrize(
    "words",
    ["", "conv.stride=1", "++seed=0", "~conv.stride", "conv=default", "input=lecture", "experiment=lecture_3d",
     "~experiment name=other", "conv.pad_value=0.0", "'conv.pad_mode=\"constant\"'", "lowering={}", "conv={stride:1}",
     "lowering.stages=[pad,im2col,fil2col,matmul,reshape]", "seed=1 seed=0"],
)  # fmt: skip
def test_one_config_in_many_spellings_is_one_run(words: str) -> None:
    assert identity(*(word.strip("'") for word in words.split())) == DEFAULT


EXECUTION_CHANGES = {
    "name": "name=x", "root": "root=elsewhere", "dry_run": "dry_run=true", "workers": "workers=3",
    "threads": "threads=2", "limits": "limits.memory=1GB", "timing": "timing.repeats=3", "trace": "trace=true",
    "sweep": "sweep.seed=3", "where": "where='seed>0'", "invalid": "invalid=skip", "retry": "retry=failed",
    "label": "label=x", "note": "note=x",
    "on_error": "on_error=stop", "cluster": "cluster=ray", "keep": "keep=stages", "pictures": "pictures=all",
    "reuse": "reuse=same-config", "replace": "replace=true",
}  # fmt: skip


def test_every_execution_key_is_tried() -> None:
    assert set(EXECUTION_CHANGES) == set(EXECUTION_KEYS)


@pytest.mark.parametrize("words", EXECUTION_CHANGES.values())
def test_how_to_execute_is_no_part_of_the_identity(words: str) -> None:
    assert identity("keep=stages", words) == identity("keep=stages")


# For each key of the spec: a base, and a change to it that is another run.
SPEC_CHANGES = {
    "seed": ("", "seed=1"),
    "lowering.stages": ("", "lowering=implicit"),
    "lowering.order": ("", "lowering.order='kh,kw,C'"),
    "lowering.tile": ("", "lowering.tile=[4,4,4]"),
    **{f"conv.{key}": ("", f"conv.{key}={value}") for key, value in {
        "stride": 2, "pad": 1, "dilation": 2, "groups": 2, "dtype": "int32", "overflow": "wrap"}.items()},
    "conv.pad_mode": ("conv.pad=1", "conv.pad_mode=edge"),
    "conv.pad_value": ("conv.pad=same", "conv.pad_value=1"),
    **{f"{group}.{key}": (f"{group}=random", f"{group}.{key}={value}") for group in ("input", "filters")
       for key, value in {"distribution": "normal", "low": -1, "high": 2}.items()},
    **{f"{group}.{key}": (f"{group}=random {group}.distribution=normal", f"{group}.{key}={value}")
       for group in ("input", "filters") for key, value in {"mean": 1, "std": 2}.items()},
    "input.shape": ("input=random", "input.shape=[1,3,9,9]"),
    "input.source": ("input=integers", "input=random"),
    "input.dtype": ("", "input.dtype=int32"),
    "input.values": ("", "input.values=[[[[1]]]]"),
    "input.sha256": ("input=npy input.path=a", f"input.sha256={'0' * 64}"),
    "input.mode": ("input=image input.path=a", "input.mode=grey"),
    "filters.source": ("filters=integers", "filters=random"),
    "filters.count": ("filters=random", "filters.count=5"),
    "filters.kernel": ("filters=random", "filters.kernel=5"),
    "filters.dtype": ("", "filters.dtype=int32"),
    "filters.values": ("", "filters.values=[[[[1]]]]"),
    "filters.sha256": ("filters=npy filters.path=a", f"filters.sha256={'0' * 64}"),
    "filters.names": ("filters=sobel_x", "filters.names=[sobel_y]"),
    "filters.channels": ("filters=sobel_x", "filters.channels=sum"),
    "filters.normalize": ("filters=gaussian filters.normalize=false", "filters.normalize=true"),
}  # fmt: skip
# Where files lie; and settings of other operations and of networks, which are tested with those.
LATER = {
    "input.path",
    "filters.path",
    "conv.operation",
    "conv.output_padding",
    "conv.output_shape",
    "input.entry",
    "filters.entry",
    "input.split",
}
LATER |= {"bias", "grad", "network", "weights", "labels", "record", "quant"}
LATER |= {f"{group}.{name}" for group in ("input", "filters") for name in settings_of(Pattern, group)} - {*SPEC_CHANGES}


def test_every_key_of_the_spec_is_tried() -> None:
    kinds: list[tuple[str, type]] = [("conv", ConvSettings), ("lowering", LoweringSettings)]
    every = [sources.SOURCES.get("", name) for name in sources.SOURCES.ours()]
    kinds += [(group, kind) for group in ("input", "filters") for kind in every if group in kind.roles]
    keys = {f"{group}.{name}" for group, kind in kinds for name in settings_of(kind, group)}
    keys |= set(SPEC_KEYS) - {group for group, kind in kinds}
    assert set(SPEC_CHANGES) == keys - LATER


@pytest.mark.parametrize(("base", "change"), SPEC_CHANGES.values(), ids=SPEC_CHANGES)
def test_every_other_key_makes_another_run(base: str, change: str) -> None:
    assert identity(*base.split(), *change.split()) != identity(*base.split())


# --- the parts that need no command line -------------------------------------------------------------------------


def test_a_config_of_no_name() -> None:
    with pytest.raises(ConfigError, match=r"nope: got 1, expected one of the keys: seed, "):
        read_job({"nope": 1})


def test_the_place_of_a_job() -> None:
    place = job("root=/x", "name=y", "limits.memory=1GiB", "threads=2", "timing.repeats=4").execution.place
    assert (place.folder, place.memory, place.threads, place.repeats) == (Path("/x/y"), 1 << 30, 2, 4)


def test_the_default_limit_leaves_the_machine_some_memory() -> None:
    assert 0 < job().execution.place.memory < 10**15


def test_the_config_tree_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (config_folder() / "config.yaml").is_file()
    monkeypatch.setattr(
        "convpipe.config.tree.__file__", str(tmp_path / "convpipe" / "config" / "tree.py")
    )  # as in a wheel
    assert config_folder() == tmp_path / "convpipe" / "conf"


def test_nothing_is_left_of_the_working_directory_tests(folder: Path) -> None:
    assert contents(folder) == set()
    assert cli.main(["dry_run=true"]) == 0
    assert contents(folder) == set()
