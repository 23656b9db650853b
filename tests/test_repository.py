"""Our quicker way to the shipped configs gives what Hydra's own way gives, of every file, odd ones among them."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import hydra.conf
import pytest
import yaml
from cli_runs import convpipe
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from convpipe.config import repository
from convpipe.config.app import make_hydra
from convpipe.config.compose import compose
from convpipe.config.repository import ShippedFiles, ShippedResources
from convpipe.config.tree import config_folder

HYDRA_CONFIGS = Path(hydra.conf.__file__).parent

# Where YAML 1.1, PyYAML, LibYAML and OmegaConf might have different views.
ODD = {
    "floats": "a: [1e3, 1e-3, 1.5e+3, -1e5, .5, 1., 1_000.5, .inf, -.INF, .NaN, 6e, e6, 1:30.5, 0x1F, 0o17, 017, 0b11]",
    "numbers": "a: [1_000, +3, -0, 08, 190:20:30, 0xfg, 12e03, 1.2.3]",
    "dates": "a: [2001-01-01, 2001-12-14t21:59:43.10-05:00, 2001-12-14 21:59:43.10, 12:30:45]",
    "truths": "a: [yes, No, ON, off, y, N, True, FALSE, ~, null, Null, '', 'true', \"null\"]",
    "keys": "{1: a, true: b, 1.5: d, 'x y': e, 2001-01-01: f}",
    "texts": 'a: |\n    two\n    lines\nb: >-\n    folded\n    text\nc: "\\u00e9\\x41\\n"\nd: ' "it" """s""",
    "interpolations": "a: ${b}\nb: ${oc.env:HOME}/x\nc: ???\nd: 'e: f'",
    "anchors": "a: &one {x: 1, y: [2]}\nb: *one\nc: {<<: *one, x: 3}",
    "merges": "a: &one {x: 1}\nb: &two {y: 2}\nc:\n  <<: [*one, *two]\n  z: 3",
    "tags": "a: !!str 1\nb: !!int '2'\nc: !!float 3\nd: !!binary aGk=",
    "no mapping": "- 1\n- 2",
    "a text": "only words",
    "empty": "",
    "comments": "# nothing\n  # here",
    "a header": "# @package _global_\n\na: 1",
    "a late header": f"{600 * chr(10)}# @package conv\na: 1",
    "letters": "\N{GREEK SMALL LETTER PI}: \N{CJK UNIFIED IDEOGRAPH-6CE2}\nb: '\N{GRINNING FACE}'",
    "a mark": "\ufeffa: 1",
    "ends of lines": "a: 1\r\nb:\r\n  - 2\r\n",
    "documents": "---\na: 1\n...\n",
}
# Files that Hydra refuses.
WRONG = {
    "a key twice": "a: 1\nb: 2\na: 3",
    "a key twice, deeper": "a: {x: 1, x: 2}",
    "two documents": "a: 1\n---\nb: 2",
    "a bracket": "a: [1, 2",
    "a tab": "a:\n\t- 1",
    "an unknown tag": "a: !mine 1",
    "code": "a: !!python/object/apply:os.getcwd []",
    "a set": "a: !!set {x, y}",
    "a key that is null": "null: 1",
    "an unknown alias": "a: *none",
    "a number": "3",
    "a control character": "a: '\x07'",
    "two words of a header": "# @package a b\na: 1",
}


def same(ours: ConfigResult, theirs: ConfigResult) -> bool:
    """Whether two results hold equal values of equal types, in one order, and say the same of where they are from."""
    about = [(each.provider, each.path, each.header, type(each.config)) for each in (ours, theirs)]
    return about[0] == about[1] and typed(plain(ours)) == typed(plain(theirs))


def plain(result: ConfigResult) -> Any:
    """The values of a config, interpolations as they are written."""
    return OmegaConf.to_container(result.config, resolve=False)


def typed(value: Any) -> Any:
    """A plain value with the types of all there is in it, a NaN equal to itself."""
    if isinstance(value, dict):
        return [(typed(key), typed(entry)) for key, entry in value.items()]
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    return (type(value), "nan" if isinstance(value, float) and math.isnan(value) else value)


def both(folder: Path) -> tuple[ShippedFiles, FileConfigSource]:
    """Our source and Hydra's on one folder."""
    return ShippedFiles("main", f"file://{folder}"), FileConfigSource("main", f"file://{folder}")


def names(folder: Path) -> list[str]:
    """Every config in a tree."""
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


@pytest.fixture
def in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra's own readers are not there to fall back on."""

    def fail(*arguments: object) -> None:
        raise AssertionError("not read by us")

    for kind in (FileConfigSource, ImportlibResourcesConfigSource):
        monkeypatch.setattr(kind, "load_config", fail)


@pytest.mark.parametrize("name", names(config_folder()))
def test_our_files_read_alike(name: str) -> None:
    ours, theirs = both(config_folder())
    assert same(ours.load_config(name), theirs.load_config(name))


@pytest.mark.parametrize("name", names(HYDRA_CONFIGS))
def test_hydras_files_read_alike(name: str) -> None:
    ours, theirs = (kind("hydra", "pkg://hydra.conf") for kind in (ShippedResources, ImportlibResourcesConfigSource))
    assert ours.is_config(name)
    assert same(ours.load_config(name), theirs.load_config(name))


@pytest.mark.usefixtures("in_c")
def test_all_shipped_files_are_read_by_us() -> None:
    ours = ShippedFiles("main", f"file://{config_folder()}")
    assert all(ours.load_config(name).config is not None for name in names(config_folder()))
    resources = ShippedResources("hydra", "pkg://hydra.conf")
    assert all(resources.load_config(name).config is not None for name in names(HYDRA_CONFIGS))


@pytest.mark.parametrize("name", ODD)
def test_odd_files_read_alike(name: str, tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text(ODD[name], encoding="utf-8", newline="")
    ours, theirs = both(tmp_path)
    assert same(ours.load_config("odd"), theirs.load_config("odd"))


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_refused_in_hydras_words(name: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG[name], encoding="utf-8")
    ours, theirs = both(tmp_path)
    with pytest.raises(Exception, match=r"\S") as expected:
        theirs.load_config("wrong")
    with pytest.raises(type(expected.value), match=r"\S") as found:
        ours.load_config("wrong")
    assert str(found.value) == str(expected.value)


def test_a_file_that_is_not_utf8_or_not_there_is_refused_in_hydras_words(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    for name in ("latin", "none"):
        ours, theirs = both(tmp_path)
        with pytest.raises(Exception, match=r"\S") as expected:
            theirs.load_config(name)
        with pytest.raises(type(expected.value), match=r"\S") as found:
            ours.load_config(name)
        assert str(found.value) == str(expected.value)


def test_a_folder_of_the_users_own_is_read_by_hydra(tmp_path: Path) -> None:
    loader: Any = make_hydra(str(tmp_path)).config_loader
    kinds = [(source.provider, type(source).__name__) for source in loader.get_sources()]
    assert kinds == [
        ("hydra", "ShippedResources"),
        ("command-line", "UserFiles"),
        ("main", "ShippedFiles"),
        ("schema", "StructuredConfigSource"),
    ]


def test_without_libyaml_hydra_reads_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = compose(make_hydra(), "config", ["conv.stride=1"])
    monkeypatch.delattr(yaml, "CSafeLoader")
    hydra_app = make_hydra()
    loader: Any = hydra_app.config_loader
    assert not any(isinstance(source, ShippedFiles | ShippedResources) for source in loader.get_sources())
    assert compose(hydra_app, "config", ["conv.stride=1"]) == quick


def test_one_composition_leaves_nothing_behind_for_the_next() -> None:
    hydra_app = make_hydra()
    first = compose(hydra_app, "config", ["seed=1", "input=random", "bias=random"])
    compose(hydra_app, "config", ["experiment=tiny", "keep=stages"])
    assert compose(hydra_app, "config", ["seed=1", "input=random", "bias=random"]) == first
    loader: Any = hydra_app.config_loader
    assert copy.deepcopy(loader.repository) is loader.repository


def test_hydras_help_has_its_words() -> None:
    answer = convpipe("--hydra-help")
    assert answer.code == 0
    assert answer.out.startswith("Hydra (1.")
    assert "== Flags ==\n--help,-h : " in answer.out


def test_the_loader_is_omegaconfs_own() -> None:
    loader = repository.quick_loader()
    assert issubclass(loader, yaml.CSafeLoader)
    assert yaml.load("a: 1e3", loader) == {"a": 1000.0}
    assert yaml.load("a: 2001-01-01", loader) == {"a": "2001-01-01"}
