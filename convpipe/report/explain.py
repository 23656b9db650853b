"""The cell that is to be explained: of which convolution it is, and the arrays that it came from."""

from collections.abc import Sequence

from convpipe.archive.read import Run
from convpipe.config.read import read_archived
from convpipe.errors import ConfigError, did_you_mean
from convpipe.execution.remake import stage_arrays
from convpipe.graph.single import operation_of
from convpipe.graph.spec import Spec
from convpipe.graph.step import Step
from convpipe.graph.work import Work, plan_work
from convpipe.ops.kinds.convolving import Convolving
from convpipe.report.cell import Cell, Rule, cell_of, check_at


def explained(run: Run, at: Sequence[int], layer: str | None = None) -> Cell:
    """Take apart one cell of a run's convolution, or of a convolution layer of its network.

    Raises:
        ConfigError: a cell or a layer that is not there, or one of another operation.
        ArchiveError: what has to be made again is not what was archived.
    """
    spec = read_archived(run)
    layer = layer if layer is not None else only_layer(spec)
    conv = operation_explained(spec, layer)
    work = plan_work(spec)
    prefix = f"{layer}/" if layer else ""
    chain = [step for step in work.plan.steps if step.name.startswith(prefix)]
    check_linear(chain, f"{prefix}feature_map")
    tensors = {tensor.name: tensor for tensor in (*work.plan.given, *(step.makes for step in work.plan.steps))}
    rows = {**{name: name for name in tensors}, **{step.makes.name: step.name for step in work.plan.steps}}
    image = next(step.needs[0] for step in chain if step.makes.name == f"{prefix}padded")
    sizes = conv.forward_sizes(tensors[image], tensors[f"{prefix}filters"])
    check_recorded(at, work)
    check_at(at, sizes)
    parts = {part: rows.get(f"{prefix}{part}") for part in ("padded", "filters", "bias", "feature_map")}
    arrays = stage_arrays(run, spec, work, [row for row in parts.values() if row is not None])
    found = {part: None if row is None else arrays[row] for part, row in parts.items()}
    *before, last = rules_of(chain) or [(conv.overflow, tensors[f"{prefix}feature_map"].dtype)]
    return cell_of(sizes, **found, at=at, overflow=last[0], before=before[-1] if before else None)  # type: ignore[arg-type]


def rules_of(chain: Sequence[Step]) -> list[Rule]:
    """The rule for overflow, and the dtype, of each stage that adds up: a stage may have a rule of its own."""
    rules = [(getattr(step.operation, "overflow", None), step.makes.dtype) for step in chain]
    return [(overflow, dtype) for overflow, dtype in rules if overflow is not None]


def check_linear(chain: Sequence[Step], result: str) -> None:
    """Every cell of the chain's result is the sum of products of one window.

    Raises:
        ConfigError: naming a stage that makes something else of it, or the last of a chain that ends before.
    """
    for step in chain:
        if not type(step.operation).linear:
            raise ConfigError("explain", step.op, "a chain of stages that only lay out, multiply and add up")
    if not any(step.makes.name == result for step in chain):
        raise ConfigError("explain", chain[-1].op, "a chain that ends in a feature map")


def check_recorded(at: Sequence[int], work: Work) -> None:
    """The image is one whose stages are on record."""
    if work.recorded <= at[0] < work.batch:
        hint = "the stages of the other images are not on record"
        raise ConfigError("--at", ",".join(map(str, at)), f"n from 0 to {work.recorded - 1}", hint)


def operation_explained(spec: Spec, layer: str | None) -> Convolving:
    """The convolution that is to be explained.

    Raises:
        ConfigError: no layer, or one too many, or an operation whose cells are no sums of one window.
    """
    if spec.network is None:
        assert spec.conv is not None
        if layer is not None:
            raise ConfigError("--layer", layer, "no layer, as the run is a single convolution")
        operation = operation_of(spec.conv)
        if operation.backward:
            raise ConfigError("explain", spec.conv.operation, "a run of a forward convolution")
        return operation
    there = convolution_layers(spec)
    if layer not in there:
        of = f"one of {', '.join(there)}" if there else "a network with one"
        raise ConfigError("--layer", layer, f"a convolution layer: {of}", did_you_mean(layer or "", there))
    return there[layer]


def convolution_layers(spec: Spec) -> dict[str, Convolving]:
    """The layers of a network that can be explained."""
    operations = {name: found.operation for name, found in (spec.network or {}).items()}
    return {name: found for name, found in operations.items() if isinstance(found, Convolving) and not found.backward}


def only_layer(spec: Spec) -> str | None:
    """The layer that is meant where none is named: the one convolution of a network."""
    there = list(convolution_layers(spec))
    return there[0] if len(there) == 1 else None
