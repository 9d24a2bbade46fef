"""Rows of two languages joined: the first text of one file with the second text of the other, row by row.

The generalized setting of Yu et al. 2021 (arXiv 2104.08645): the files of XNLI and PAWS-X are parallel, so the two
sentences of a pair can come from different languages and the label stays.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest

from xdist.errors import UserError
from xdist.formats.examples import Classified


def join(
    first: Iterable[Classified],
    second: Iterable[Classified],
    where: str,
    drop: Callable[[Classified], bool] = lambda example: False,
) -> Iterator[Classified]:
    """Row i of `first` gives the first text, row i of `second` the second one. A row that `drop` is true for on either side
    is left out: PAWS-X gives untranslated rows the label 0, whatever the English one is.

    Raises UserError, starting with `where`, for another number of rows or another label.
    """
    for number, (left, right) in enumerate(zip_longest(first, second), start=1):
        if left is None or right is None:
            shorter = "first" if left is None else "second"
            raise UserError(f"{where}: the {shorter} ends before row {number}: the files are not parallel")
        if drop(left) or drop(right):
            continue
        if left.label != right.label:
            raise UserError(f"{where}: row {number}: labels '{left.label}' and '{right.label}': the files are not parallel")
        yield Classified(texts=(left.texts[0], right.texts[-1]), label=left.label)
