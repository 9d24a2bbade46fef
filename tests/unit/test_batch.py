"""The batch without padding: its derived layouts against a layout made by hand."""

import torch
from batch_of import batch_of, rows_of_sequences
from hypothesis import given, settings

Rows = list[list[list[int]]]
PAD = 99


@given(rows_of_sequences)
@settings(deadline=None)
def test_padded_is_the_hand_made_layout(rows: Rows) -> None:
    batch = batch_of(rows)
    flat = [sequence for row in rows for sequence in row]
    width = max(map(len, flat))
    ids, mask = batch.padded(PAD)
    assert ids.tolist() == [sequence + [PAD] * (width - len(sequence)) for sequence in flat]
    assert mask.tolist() == [[1] * len(sequence) + [0] * (width - len(sequence)) for sequence in flat]
    assert ids.flatten()[batch.padded_index].tolist() == batch.tokens.tolist()


@given(rows_of_sequences)
@settings(deadline=None)
def test_where_each_token_stands(rows: Rows) -> None:
    batch = batch_of(rows)
    places = [
        (number, position, before + position)
        for number, row in enumerate(rows)
        for index, sequence in enumerate(row)
        for before in [sum(map(len, row[:index]))]
        for position in range(len(sequence))
    ]
    assert batch.token_row.tolist() == [row for row, _, _ in places]
    assert batch.positions.tolist() == [position for _, position, _ in places]
    assert batch.row_positions.tolist() == [position for _, _, position in places]
    assert batch.tokens[batch.starts].tolist() == [sequence[0] for row in rows for sequence in row]


def test_several_sequences_per_row_by_hand() -> None:
    batch = batch_of([[[5, 6], [7]], [[8, 9, 10]]])
    assert batch.token_sequence.tolist() == [0, 0, 1, 2, 2, 2]
    assert batch.token_row.tolist() == [0, 0, 0, 1, 1, 1]
    assert batch.positions.tolist() == [0, 1, 0, 0, 1, 2]
    assert batch.row_positions.tolist() == [0, 1, 2, 0, 1, 2]
    assert batch.width == 3


def test_to_another_device_moves_everything() -> None:
    batch = batch_of([[[5, 6]]], labels=[1])
    assert batch.padded_index.device.type == "cpu"
    assert batch.to("cpu") is batch
    moved = batch.to("meta")
    tensors = [moved.tokens, moved.lengths, moved.sequence_row, moved.row_ids, moved.starts, *moved.targets.values()]
    assert {tensor.device for tensor in tensors} == {torch.device("meta")}
    assert batch.tokens.device.type == "cpu"
    assert moved.head == batch.head
