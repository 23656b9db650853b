"""Hydra's flags: which of them we take, and what those show that ask for something instead of a run."""

from __future__ import annotations

import contextlib
import io
import os
import re
import string
from argparse import Action, ArgumentParser, Namespace
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NoReturn

from convpipe.config import compose as config_compose
from convpipe.config.app import logging_kept, make_hydra
from convpipe.config.compose import NO_SEARCH_PATH, plain_config
from convpipe.config.hydra_safety import refuse_unsafe
from convpipe.config.tree import MAIN_CONFIG
from convpipe.config.typed import without_pair
from convpipe.config.words import OWN, is_own_file, words_for_hydra
from convpipe.errors import ConfigError, ConvpipeError, UsageError, did_you_mean
from convpipe.execution import provenance

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from omegaconf import DictConfig

    from convpipe.cli.commands import Command

HELP = string.Template("""\
convpipe, a laboratory for convolution

convpipe [key=value ...]             run, archive, and show a convolution
convpipe FILE.yaml [key=value ...]   the same of an experiment file of your own

Choices (group=option)
$groups

Settings (key=value)
$settings

Commands (a first word without "=" and "-"; convpipe COMMAND --help tells more)
$commands

Flags:
  --cfg job           show the whole config, run nothing
  --info              show where it comes from
  -m                  sweep over several values: seed=1,2,3
  --config-dir DIR    choices of your own beside these
  -sc install=bash    print the script that completes words: eval "$$(convpipe -sc install=bash)"
  --version, --help, --hydra-help

Exit codes: 0 ok, 1 some runs failed, 2 config or usage, 3 integrity, 4 I/O, 130 and 143 interrupted
""")
# Flags that ask for something else than a run.
SHOWING = ("help", "hydra_help", "cfg", "info", "shell_completion")
SHELLS = ("bash", "zsh", "fish")
HYDRA_HELP = "hydra/hydra_help/default"
UNKNOWN = "unrecognized arguments: "  # what argparse says
LONG = re.compile(r"-[a-z]{3,}")
MOST_SHORT = 2  # letters of a flag, dash included, that is like any other
LINE_WIDTH = 80
COMMAND_WIDTH = 30


def parsed_flags(words: list[str]) -> Namespace:
    """Hydra's flags, parsed; those that read pickles or that we cannot vouch for are refused.

    Raises:
        UsageError: a flag that there is not, one that we do not take, or flags that do not go together.
    """
    parser = flag_parser()
    parser.error = partial(refused, words)  # type: ignore[method-assign]
    flags, settings = sorted_words(parser, words)
    arguments = parser.parse_args(flags)
    arguments.overrides = settings
    if arguments.experimental_rerun is not None:
        raise UsageError("--experimental-rerun: it would read a pickle; use convpipe reproduce RUN")
    if arguments.config_path is not None:
        raise UsageError("--config-path: the config tree is convpipe's own; add yours with --config-dir")
    arguments.config_dir = arguments.config_dir and os.path.expanduser(without_pair(arguments.config_dir))
    folder = arguments.config_dir
    if folder is not None and not Path(folder).is_dir():
        what = ", a file;" if os.path.isfile(folder) else ","
        raise UsageError(f"--config-dir: got {folder}{what} expected a folder")
    if folder is not None and not os.access(folder, os.R_OK | os.X_OK):
        raise UsageError(f"--config-dir: got {folder}, expected a folder that can be read")
    if arguments.config_name == "":
        raise UsageError("--config-name: got nothing, expected the name of a main config")
    check_together(arguments)
    arguments.config_name = arguments.config_name or MAIN_CONFIG
    if not arguments.shell_completion:
        arguments.overrides = words_for_hydra(arguments.overrides, arguments.multirun, folder)
    return arguments


def sorted_words(parser: ArgumentParser, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags among words, with their values, and the settings: they may be in any order.

    >>> sorted_words(flag_parser(), ["conv.pad=1", "--config-dir", "mine", "--info", "seed=1", "-m", "my.yaml"])
    (['--config-dir', 'mine', '--info', '-m'], ['conv.pad=1', 'seed=1', 'my.yaml'])
    """
    known = {name: action for action in parser._actions for name in action.option_strings}
    flags: list[str] = []
    settings: list[str] = []
    left = deque(words)
    while left:
        word = left.popleft()
        if word == "--":
            return flags, [*settings, *left]
        if not word.startswith("-") or word == "-":
            settings.append(word)
            continue
        if len(word) == MOST_SHORT and word not in known:
            refused(words, f"{UNKNOWN}{word}")  # argparse would take it for the start of another
        flags.append(word)
        if left and word in known and takes(known[word], left[0]):
            flags.append(left.popleft())
    return flags, settings


def takes(flag: Action, word: str) -> bool:
    """Whether a flag takes the word behind it for its value."""
    return flag.nargs is None or (flag.nargs == "?" and word.replace("-", "").isalpha() and not word.startswith("-"))


def flag_parser() -> ArgumentParser:
    """Hydra's own parser under our name and version; it takes no flag that is cut short, as --exp could be any."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.prog = "convpipe"
    parser.allow_abbrev = False
    says = f"convpipe {provenance.VERSION}"
    for action in parser._actions:
        if "--version" in action.option_strings:
            action.version = says  # type: ignore[attr-defined]
    parser.add_argument("-V", action="version", version=says)
    return parser


def refused(words: Sequence[str], message: str) -> NoReturn:
    """What argparse says against the flags among the words, as a UsageError, with what was meant by an unknown one."""
    from convpipe.config.meant import flag_meant

    flag = message.removeprefix(UNKNOWN).split(" ")[0] if message.startswith(UNKNOWN) else ""
    long = next((word for word in words if LONG.match(word) and not word.startswith("-sc")), "")
    flag = flag or long  # of one dash and several letters, which argparse takes for several flags
    if not flag:
        raise UsageError(message.removeprefix("argument "))
    name, _, value = flag.partition("=")
    setting = flag_meant(name, value or value_behind(flag, words))
    if setting:
        raise UsageError(f"{flag}: no such flag; write {setting}")
    near = len(name) > MOST_SHORT and did_you_mean(
        name, [name for action in flag_parser()._actions for name in action.option_strings]
    )
    raise UsageError(f"{flag}: no such flag; convpipe --help shows those there are{f' ({near})' if near else ''}")


def value_behind(flag: str, words: Sequence[str]) -> str:
    """The word behind a flag that may be its value; nothing where that is a setting or a flag of its own."""
    behind = words[words.index(flag) + 1 :][:1] if flag in words else []
    return next((word for word in behind if "=" not in word and not word.startswith("-")), "")


def check_together(arguments: Namespace) -> None:
    """At most one thing is asked for, and --resolve and --package have something to act on."""
    asked = [name for name in (*SHOWING, "multirun", "run") if getattr(arguments, name) not in (None, False)]
    if len(asked) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise UsageError(f"{names}: expected one of them at a time")
    for name in ("resolve", "package"):
        if getattr(arguments, name) and not arguments.cfg:
            raise UsageError(f"--{name}: expected --cfg beside it, as in --cfg job --{name}")


def answer(arguments: Namespace, commands: Mapping[str, Command]) -> str:
    """What --help, --hydra-help, --cfg, --info or --shell-completion shows.

    Args:
        commands: ours by their names, which a shell completes beside Hydra's words.

    Raises:
        ConvpipeError: the config to show is wrong.
    """
    if arguments.shell_completion:
        return completion(arguments, commands)
    hydra, name = make_hydra(arguments.config_dir), arguments.config_name
    # checked before Hydra shows anything, as it sets up the logging that a config file may have chosen
    composed = config_compose.composed(hydra, name, arguments.overrides)
    if arguments.help:
        return help_text(hydra, plain_config(composed, missing=True), commands.values())
    if arguments.hydra_help:
        return hydra_help(hydra, composed)
    overrides = [*arguments.overrides, NO_SEARCH_PATH]
    if arguments.info:
        return printed(lambda: hydra.show_info(arguments.info, config_name=name, overrides=overrides))
    if arguments.resolve:
        plain_config(composed, missing=True)  # for errors in our words
    check_package(arguments, composed)
    return printed(lambda: hydra.show_cfg(name, overrides, arguments.cfg, arguments.package, arguments.resolve))


def hydra_help(hydra: Hydra, composed: DictConfig) -> str:
    """Hydra's own help, whose words are composed for this alone."""
    from omegaconf import OmegaConf

    words = hydra.config_loader.repository.load_config(HYDRA_HELP).config  # type: ignore[attr-defined]
    OmegaConf.update(composed, "hydra.hydra_help", words)
    settings = hydra.get_sanitized_hydra_cfg(composed)
    return hydra.get_help(composed.hydra.hydra_help, settings, flag_parser(), resolve=False) + "\n"


def check_package(arguments: Namespace, composed: Any) -> None:
    """The part of the config that --package names is there."""
    from omegaconf import OmegaConf

    package = arguments.package
    if package and package != "_global_" and OmegaConf.select(composed, package, throw_on_missing=False) is None:
        raise ConfigError("--package", package, "a group of the config", did_you_mean(package, map(str, composed)))


def printed(show: Callable[[], None]) -> str:
    """What a function of Hydra's prints: taken as a whole, so that a reader who goes away disturbs only us."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), logging_kept():
        show()
    return text.getvalue()


def help_text(hydra: Hydra, settings: dict[str, Any], commands: Iterable[Command]) -> str:
    """Our help: choices, settings, commands and flags."""
    from convpipe.files.yaml import config_yaml

    groups = [group for group in hydra.list_all_config_groups() if not group.startswith("hydra")]
    options = {group: hydra.config_loader.get_group_options(group) for group in sorted(groups)}
    named = {group: [name for name in found if not name.startswith(OWN)] for group, found in options.items()}
    lines = [line for group, found in named.items() for line in choices(group, found)]
    values = [shown_line(line) for line in config_yaml(settings).decode().splitlines()]
    ours = "\n".join(map(command_lines, commands))
    return HELP.substitute(groups="\n".join(lines), settings="\n".join(values), commands=ours)


def command_lines(command: Command) -> str:
    """A command and what it does: beside it where it is short, or below."""
    written = f"  convpipe {command.name} {command.usage}"
    gap = f"{written:<{COMMAND_WIDTH}} " if len(written) < COMMAND_WIDTH else f"{written}\n{'':<{COMMAND_WIDTH}} "
    return f"{gap}{command.what}"


def shown_line(line: str) -> str:
    """A line cut to the width of a terminal; --cfg job shows it whole."""
    return line if len(line) <= LINE_WIDTH else f"{line[: LINE_WIDTH - 3]}..."


def choices(group: str, options: list[str]) -> list[str]:
    """One group and its options, as lines.

    >>> choices("lowering", ["im2col", "implicit"])
    ['lowering: im2col, implicit']
    """
    return wrap(f"{group}: {', '.join(sorted(options))}", LINE_WIDTH, subsequent_indent=" " * (len(group) + 2))


def completion(arguments: Namespace, commands: Collection[str]) -> str:
    """The script that teaches a shell to complete our words, or the answer to its query.

    Raises:
        UsageError: not one of install, uninstall, query, or a shell that Hydra does not know.
    """
    asked = arguments.overrides[0].partition("=")[::2] if len(arguments.overrides) == 1 else ("", "")
    if asked[0] not in ("install", "uninstall", "query") or asked[1] not in SHELLS:
        got = " ".join(arguments.overrides)
        shells = "|".join(SHELLS)
        raise UsageError(f"--shell-completion: got {got or 'nothing'}, expected install, uninstall or query={shells}")
    return "\n".join(completions(arguments, commands)) if asked[0] == "query" else shell_script(arguments)


def shell_script(arguments: Namespace) -> str:
    """Hydra's script for a shell."""
    hydra = make_hydra(arguments.config_dir)
    return printed(lambda: hydra.shell_completion(MAIN_CONFIG, arguments.overrides))


def completions(arguments: Namespace, commands: Collection[str]) -> Iterator[str]:
    """What a shell may complete the line in COMP_LINE to; nothing where that is malformed or unsafe.

    Raises:
        UsageError: there is no COMP_LINE.
    """
    if "COMP_LINE" not in os.environ:
        raise UsageError("--shell-completion: query is for shells, which set COMP_LINE")
    words = os.environ["COMP_LINE"].split(" ")[1:]
    if len(words) == 1:
        yield from (command for command in commands if command.startswith(words[0]))
    if words[:1] and words[0] in commands:
        return  # the shell itself completes paths
    with contextlib.suppress(ConvpipeError, SystemExit):  # Hydra's parser exits on a flag that there is not
        before = [word for word in words[:-1] if word and not is_own_file(word)]  # Hydra would complete nothing
        refuse_unsafe(word for word in before if not word.startswith("-"))
        os.environ["COMP_LINE"] = " ".join(["convpipe", *before, words[-1]])
        with contextlib.redirect_stderr(io.StringIO()):
            yield from shell_script(arguments).split()
