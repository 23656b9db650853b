"""A classifier's answers beside the truth: of any archived run, and those of a run that are wrong for a terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from convpipe.archive.folders import run_folder
from convpipe.archive.format import short_number
from convpipe.archive.read import Run
from convpipe.archive.verify import verify
from convpipe.config.read import read_archived
from convpipe.execution.evaluation import NO_ANSWER, Answer, answers as answers_by
from convpipe.report.console import table

MOST_WRONG = 10  # that are printed


def answers(run: Run | str | Path) -> tuple[Answer, ...]:
    """What a network answers for each image: the class of its largest output, its score, and the truth.

    Each has `image`, `truth` (None without labels), `answer` (None where NaN is among the scores), `score` and `right`.

    Args:
        run: an archived one, by its folder verified first, or one in memory.

    Raises:
        ConfigError: its output is not one number for each class.
        ArchiveError: the run is damaged, or the file is gone that its labels were in.

    >>> import convpipe as cp
    >>> answers(cp.run("experiment=tiny", archive=False))[0]
    Answer(image=0, truth=None, answer=2, score=1.0)
    """
    found = run if isinstance(run, Run) else verify(run_folder("answers", run))
    return answers_by(found, read_archived(found))


def show_wrong(out: Console, found: Sequence[Answer]) -> None:
    """Print the answers that are wrong, the first MOST_WRONG of them, with truth and score."""
    wrong = [each for each in found if each.right is False]
    if not wrong:
        return
    rows = table(out.no_color, ("wrong", "truth", "answer", "score"))
    for each in wrong[:MOST_WRONG]:
        answer = NO_ANSWER if each.answer is None else str(each.answer)
        rows.add_row(f"n={each.image}", str(each.truth), answer, short_number(str(each.score)))
    out.print()
    out.print(rows)
    if len(wrong) > MOST_WRONG:
        out.print(f"and {len(wrong) - MOST_WRONG} more wrong answers")
