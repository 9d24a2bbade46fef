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
    left_out: Callable[[Classified], bool] | None = None,
) -> Iterator[Classified]:
    """Row i of `first` gives the first text, row i of `second` the second one. No pair is made of a row that
    `left_out` is true for on either side: PAWS-X gives untranslated rows the label 0, for any English one. A pair has
    gold where both files have.

    Raises UserError, starting with `where`, for another number of rows or another label.
    """
    for number, (left, right) in enumerate(zip_longest(first, second), start=1):
        if left is None or right is None:
            shorter = "first" if left is None else "second"
            raise UserError(f"{where}: the {shorter} ends before row {number}: the files are not parallel")
        if left_out and (left_out(left) or left_out(right)):
            continue
        blanked = left.label is None or right.label is None
        if not blanked and left.label != right.label:
            raise UserError(f"{where}: row {number}: labels '{left.label}' and '{right.label}': the files are not parallel")
        yield Classified(texts=(left.texts[0], right.texts[-1]), label=None if blanked else left.label)
