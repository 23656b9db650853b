"""Every key of a config and every choice of a group, to be asked: what it takes, its default, a sentence about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from typing import Any

from convpipe.config.grammar import value_text
from convpipe.config.parts import SETTINGS
from convpipe.config.tree import GROUPS, choices_of, config_folder, shipped, values_of
from convpipe.errors import ELSEWHERE, nearest
from convpipe.fields import Check, Schema, Setting, join, text

LAYERS = ".LAYER."
EXPERIMENT = Setting(text, "lecture_3d", "A complete named experiment; what is set beside it counts more.")


@dataclass(frozen=True)
class Key:
    """One key, of one kind where several have it: ``input.low`` of the source `random`."""

    name: str
    kind: str
    setting: Setting

    @property
    def names_its_kind(self) -> bool:
        """Whether it is the one that says which kind the others belong to: a source, or an operation."""
        return self.kind != "" and values_of_check(self.setting.check) == {self.kind}

    @property
    def default(self) -> Any:
        """What it is where nobody sets it; MISSING where somebody has to."""
        group, _, below = self.name.partition(".")
        there = choice_values(group, self.kind) if below and self.kind else shipped()
        return there.get(below or group, self.setting.default)


def keys() -> Iterator[Key]:
    """Every key, groups before what is in them; under `network`, ``LAYER`` stands for a layer's name."""
    for name, setting in {**SETTINGS, "experiment": EXPERIMENT}.items():
        yield from with_below(Key(name, "", setting))


def with_below(key: Key) -> Iterator[Key]:
    """A key and those below it."""
    yield key
    check = key.setting.check
    place = join(key.name, check.below) if check.below else key.name
    for kind, settings in check.kinds().items():
        for name, setting in settings.items():
            yield from with_below(Key(join(place, name), kind or key.kind, setting))


def as_listed(name: str) -> str:
    """A key with the word that stands for a layer's name.

    A layer itself is as the group of them says.

    >>> as_listed("network.conv1.pad"), as_listed("network.conv1"), as_listed("conv.pad")
    ('network.LAYER.pad', 'network', 'conv.pad')
    """
    parts = name.split(".")
    if parts[0] == "network" and len(parts) == 2 and parts[1]:
        return "network"
    return ".".join(["network", "LAYER", *parts[2:]]) if parts[0] == "network" and len(parts) > 2 else name


def place_of(word: str) -> str:
    """A hint with the key that ends in a word; nothing where there is none.

    >>> place_of("stride"), place_of("padding"), place_of("slope"), place_of("strid")
    ('did you mean conv.stride?', 'did you mean conv.pad?', 'did you mean network.LAYER.slope?', '')
    """
    found = key_ending(word)
    return f"did you mean {found}?" if found else ""


def key_ending(word: str) -> str:
    """The key that ends in a word, such as `stride`; of a layer only where no other key ends so; or nothing."""
    ends = [key.name for key in keys() if key.name.endswith(f".{ELSEWHERE.get(word, word)}")]
    return min(ends, key=lambda name: (LAYERS in name, not name.startswith("conv.")), default="")


def place_near(word: str) -> str:
    """A hint with the key whose end is nearest to a mistyped word; nothing where there is none.

    >>> place_near("padd"), place_near("kernal"), place_near("xyz")
    ('did you mean conv.pad?', 'did you mean filters.kernel?', '')
    """
    ends = dict.fromkeys(key.name.rpartition(".")[2] for key in keys() if LAYERS not in key.name)
    near = nearest(word.rpartition(".")[2], ends, 0.75)
    return place_of(near) if near else ""


def key_meant(word: str) -> str:
    """The key that a word is in another spelling: in capitals, with other signs between its parts; or nothing.

    >>> [key_meant(word) for word in ("Conv.Stride", "conv_stride", "DRY-RUN", "Stride", "padding_mode", "strid")]
    ['conv.stride', 'conv.stride', 'dry_run', 'conv.stride', 'conv.pad_mode', '']
    """
    known = {letters(key.name): key.name for key in reversed(list(keys())) if LAYERS not in key.name}
    *groups, last = word.replace("-", "_").split(".")
    written = ".".join([*groups, ELSEWHERE.get(last.lower(), last)])
    ends = key_ending(written.lower())
    return known.get(letters(written), "") or ("" if groups or LAYERS in ends else ends)


def letters(word: str) -> str:
    """The letters and digits of a word alone, as people mistake what is between them, and capitals."""
    return re.sub(r"[\W_]", "", word).casefold()


def as_setting(word: str, value: str = "") -> str:
    """What to type for a setting that came as a word of another form, such as a flag; nothing where there is none.

    >>> as_setting("dry-run"), as_setting("seed", "3"), as_setting("stride"), as_setting("input"), as_setting("cfg")
    ('dry_run=true', 'seed=3', 'conv.stride=1', 'input=lecture', '')
    """
    name = key_meant(word)
    found = next((key for key in keys() if key.name == name), None) if name else None
    return f"{found.name}={value or usual(found)}" if found else ""


def usual(key: Key) -> str:
    """A value that a key may have, as it is typed: of a truth the one that it has not by itself."""
    if is_group(key.name):
        chosen = {group: name for entry in shipped()["defaults"] if entry != "_self_" for group, name in entry.items()}
        return chosen[key.name] or "none"
    if isinstance(key.default, bool):
        return value_text(key.name, not key.default)
    return "VALUE" if key.default is MISSING else value_text(key.name, key.default)


def named_choices(name: str) -> list[str]:
    """The groups that have a choice of that name, experiments before all.

    >>> named_choices("lecture_4d"), named_choices("sobel_x")
    (['experiment', 'filters', 'input'], ['filters'])
    """
    groups = ["experiment", *sorted(GROUPS - {"experiment"})]
    return [group for group in groups if name in choices_of(group)]


def keys_with_value(word: str) -> list[str]:
    """The keys that have a word among their values.

    >>> keys_with_value("saturate")[0], keys_with_value("reflect")[0], keys_with_value("nope")
    ('conv.overflow', 'conv.pad_mode', [])
    """
    found = (key for key in keys() if word in values_of_check(key.setting.check) and not key.names_its_kind)
    return list(dict.fromkeys(key.name for key in found))


def values_of_check(check: Check) -> set[str]:
    """The names among the values that a check takes; none of a group."""
    return set() if check.kinds() else set(named_in(check.schema()))


def named_in(schema: Schema) -> Iterator[str]:
    """The names that a schema lists."""
    yield from (name for name in schema.get("enum", ()) if isinstance(name, str))
    for below in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else [])):
        yield from named_in(below)


def who_has(name: str) -> str:
    """A hint with the choices of a group, or the operations, that have a key which others do not; or nothing.

    >>> who_has("bias.low"), who_has("network.act.slope"), who_has("cluster.address"), who_has("bias.lo")
    ('bias=integers, pattern, random have it', 'op: leaky_relu has it', 'it goes with a choice of cluster', '')
    """
    listed = as_listed(name)
    found = list(dict.fromkeys(key.kind for key in keys() if key.name == listed))
    if found == [""]:
        group, _, below = name.partition(".")
        layered = group == "conv" and any(key.name == f"network{LAYERS}{below}" for key in keys())
        return f"it goes with a choice of {group}{f'; of a layer it is network{LAYERS}{below}' if layered else ''}"
    return f"{kinds_text(listed, found)} {'has' if len(found) == 1 else 'have'} it" if found else ""


def kinds_text(name: str, of: Iterable[str]) -> str:
    """Which sources or operations have a key.

    >>> kinds_text("input.low", ["integers", "random"]), kinds_text("network.LAYER.axis", ["softmax"])
    ('input=integers, random', 'op: softmax')
    """
    group = name.partition(".")[0]
    return f"{'op: ' if group == 'network' else f'{group}='}{', '.join(of)}"


@cache
def choice_values(group: str, kind: str) -> Mapping[str, Any]:
    """What the choice of that kind sets, where the config tree has one; what is to be given is left out."""
    path = config_folder() / group / f"{kind}.yaml"
    values = values_of(path) if path.is_file() else {}
    return {name: value for name, value in values.items() if value != "???"}


def is_group(name: str) -> bool:
    """Whether a key is a group, which has choices."""
    return name in GROUPS
