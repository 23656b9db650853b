"""What a run keeps beside its hashes, as an order: who asks for less is served by who has more."""

LEVELS = ("output", "layers", "stages")  # of arrays, each with those before it
INPUTS = "+inputs"  # what files held, too


def keeps(there: str, asked: str) -> bool:
    """Whether what a run keeps is all that is asked for.

    >>> keeps("stages", "output"), keeps("stages", "output+inputs"), keeps("layers+inputs", "output+inputs")
    (True, False, True)
    """
    return there == asked or both(there, asked) == there


def both(there: str, asked: str) -> str:
    """What keeps all that either keeps; of words that there are not, what is asked for.

    >>> both("stages", "output+inputs"), both("output", "layers")
    ('stages+inputs', 'layers')
    """
    levels = [keep.removesuffix(INPUTS) for keep in (there, asked)]
    if not set(levels) <= set(LEVELS):
        return asked
    return max(levels, key=LEVELS.index) + INPUTS * any(keep.endswith(INPUTS) for keep in (there, asked))
