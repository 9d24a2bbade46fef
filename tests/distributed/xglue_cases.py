"""What the ranks do in tests of XGLUE: nDCG of queries whose rows are on different ranks."""

import numpy as np

from xdist.evaluation.predicting import predictions_by_row
from xdist.formats.examples import Classified
from xdist.metrics import Given
from xdist.metrics.ndcg import NDCG
from xdist.run import distributed


def ndcg_of(files: list[dict[str, list[float]]]) -> list[list[float]] | None:
    """By file the nDCG of each query, on rank 0; each rank has every this many-th row and one that the next rank has too."""
    rank, world = distributed.rank(), distributed.world()
    found = []
    for file in files:
        size = len(file["gold"])
        own = {(0, row): np.float64(file["predictions"][row]) for row in [*range(rank, size, world), (rank + 1) % size]}
        if (gathered := distributed.gather_on_first(own)) is None:
            continue
        (predictions,) = predictions_by_row(gathered, 1)
        examples = [Classified(texts=(str(query), "page")) for query in file["queries"]]
        rows = NDCG.rows_of([predictions[row] for row in sorted(predictions)], file["gold"], Given(examples=examples))
        found.append(rows[:, 0].tolist())
    return found if rank == 0 else None
