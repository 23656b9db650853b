"""Which stages of a run are drawn, as the setting `pictures` asks."""

from collections.abc import Mapping, Sequence
from math import prod

from convpipe.archive.maps import letters_of
from convpipe.errors import ConfigError, did_you_mean, shown
from convpipe.graph.plan import Plan
from convpipe.graph.spec import Spec
from convpipe.graph.step import Step
from convpipe.tensors import Tensor

AUTO, ALL, NONE = "auto", "all", "none"
KEY = "pictures"
Asked = str | tuple[str, ...]  # one of the three, or names of stages


def drawn_stages(asked: Asked, spec: Spec, plan: Plan) -> tuple[str, ...]:
    """The stages whose maps are drawn, by their names in stages.csv and in its order.

    Raises:
        ConfigError: a stage that there is not, or that has no maps; or there is no Pillow.
    """
    if asked == NONE or (asked == AUTO and not spec.input.is_picture):
        return ()
    tensors = tensors_of(plan)
    there = [name for name, tensor in tensors.items() if has_maps(tensor)]
    if asked == AUTO:
        found = {plan.steps[-1].name} if is_result(spec, plan) else set()
    elif asked == ALL:
        found = {step.name for step in plan.steps if not is_told_again(step, plan)}
    else:
        known = layers_of(plan) | {name: name for name in tensors}
        found = {stage_asked(f"{KEY}[{at}]", name, known, there) for at, name in enumerate(asked)}
    drawn = tuple(name for name in there if name in found)
    if drawn:
        from convpipe.files.images import need_pillow  # which most runs do without

        need_pillow(KEY)
    return drawn


def stage_asked(key: str, name: str, known: Mapping[str, str], there: Sequence[str]) -> str:
    """The stage that is called so, or the last of the layer that is."""
    if known.get(name) in there:
        return known[name]
    names = [each for each, stage in known.items() if stage in there]
    hint = f"{name} makes no maps" if name in known else did_you_mean(name, names)
    raise ConfigError(key, name, f"a stage with maps, one of {shown(', '.join(names), 300)}", hint)


def layers_of(plan: Plan) -> dict[str, str]:
    """The last stage of each layer, by the layer's name; of a single convolution those of its stages."""
    return {step.name.partition("/")[0]: step.name for step in plan.steps}


def tensors_of(plan: Plan) -> dict[str, Tensor]:
    """What a plan starts from and makes, by the names of stages.csv."""
    return {tensor.name: tensor for tensor in plan.given} | {step.name: step.makes for step in plan.steps}


def has_maps(tensor: Tensor) -> bool:
    """Whether it is maps that can be drawn: of one or two axes, with cells."""
    return letters_of(tensor.axes) is not None and len(tensor.shape) in (3, 4) and prod(tensor.shape) > 0


def is_result(spec: Spec, plan: Plan) -> bool:
    """Whether a run ends in maps that are its result: a convolution in its feature map, a network in any."""
    return spec.network is not None or plan.output.axes[-1] == "F"


def is_told_again(step: Step, plan: Plan) -> bool:
    """Whether the next stage of its layer has the same maps, as it only turns them."""
    layer, _, stage = step.name.partition("/")
    after = [each for each in plan.steps if step.makes.name in each.needs and each.name.startswith(f"{layer}/")]
    turned = [each for each in after if type(each.operation).moves and has_maps(each.makes)]
    return bool(stage) and any(prod(each.makes.shape) == prod(step.makes.shape) for each in turned)
