"""Batches made by hand, for tests of what works on a batch."""

from collections.abc import Sequence

import torch
from hypothesis import strategies as st

from xdist.tasks.batch import Batch

# Rows of sequences of piece ids; ids 0 to 3 are special, as in XLM-R.
VOCABULARY = 40
SPECIAL = torch.tensor([0, 1, 2, 3])
sequences = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=7)
rows_of_sequences = st.lists(st.lists(sequences, min_size=1, max_size=3), min_size=1, max_size=5)


def batch_of(
    rows: Sequence[Sequence[Sequence[int]]],
    row_ids: Sequence[int] | None = None,
    labels: Sequence[int] = (),
    head: str = "head",
) -> Batch:
    """A batch of `rows`, each a list of sequences of piece ids; rows are numbered from 0 where no ids are given."""
    return Batch(
        head=head,
        tokens=torch.tensor([token for row in rows for sequence in row for token in sequence], dtype=torch.long),
        lengths=torch.tensor([len(sequence) for row in rows for sequence in row], dtype=torch.long),
        sequence_row=torch.tensor([number for number, row in enumerate(rows) for _ in row], dtype=torch.long),
        row_ids=torch.tensor(list(row_ids) if row_ids is not None else list(range(len(rows))), dtype=torch.long),
        targets={"label": torch.tensor(labels, dtype=torch.long)},
    )
