"""The images of a network's batch that are not recorded: run in slices, for the output alone."""

from time import perf_counter

import numpy as np

from convpipe.archive.write import Recorder
from convpipe.execution import pipeline
from convpipe.graph.spec import Spec
from convpipe.graph.work import Work, plan_images
from convpipe.tensors import Array


def rest_of_batch(
    draft: Recorder, spec: Spec, work: Work, batch: dict[str, Array], tally: pipeline.Tally
) -> tuple[Array, float]:
    """Run the whole batch in slices for its output alone: the recorded images as they were recorded.

    Gives the output, and how long the other images took; what stages count of all images is what the tally has then.
    """
    tally.clear()
    output = np.empty((work.batch, *work.plan.output.shape[1:]), work.plan.output.dtype)
    images, seconds = batch["input"], 0.0
    starts = [0, *range(work.recorded, work.batch, work.slice)]
    for start, stop in zip(starts, [*starts[1:], work.batch], strict=True):
        plan = plan_images(spec, work.plan.given[0], stop - start)
        begun = perf_counter()
        output[start:stop] = pipeline.output(plan, {**batch, "input": images[start:stop]}, tally)
        seconds += perf_counter() - begun if start else 0.0  # the first slice has been timed as it was recorded
    draft.add("output", "batch", output, macs=work.macs - work.plan.macs, kept=False, last=True)
    return output, seconds
