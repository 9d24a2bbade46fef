"""An evaluation with a section `align`: maps are fitted on all ranks, or found, before anything is predicted."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xdist.config.align import Align
from xdist.data.fetched import model_digest
from xdist.data.leaks import check_leaks
from xdist.data.prepare import Preparation
from xdist.data.subset import Subset
from xdist.evaluation import fitting
from xdist.evaluation.fitting import Ranks
from xdist.evaluation.request import Request
from xdist.files import Digests
from xdist.model.alignment import Alignment
from xdist.model.model import Model
from xdist.robust.word_links import make_linker
from xdist.run import distributed
from xdist.run.together import on_each, on_first

log = logging.getLogger(__name__)


class Aligner:
    """Gives a model the maps that `section` requests, fitted on `subsets`. One on each rank; calls are collective."""

    def __init__(
        self,
        section: Align,
        subsets: Sequence[Subset],
        request: Request,
        preparation: Preparation,
        words: Mapping[str, Path] | None = None,
    ) -> None:
        """`words`: by language the dictionaries or links that the section names."""
        self.section, self.subsets, self.words = section, subsets, words or {}
        self.request, self.preparation = request, preparation

    def __call__(self, model: Model, budget: int, lockstep: bool) -> None:
        """`model` as it is placed for forward passes. Raises UserError for maps that do not fit it, and for text to fit on that
        is evaluated."""
        section, request = self.section, self.request
        if not section.strength:
            return
        folder = Path(section.folder) if section.folder is not None else request.folder.alignment
        if section.folder is None:
            self._fit(model, folder, budget, lockstep)
        model.alignment = fitting.read_alignment(folder, section.strength)
        fitting.check_width(folder, model.alignment, model)
        if distributed.rank() == 0:
            log.info(_maps_line(model.alignment, request))

    def _fit(self, model: Model, folder: Path, budget: int, lockstep: bool) -> None:
        """Where it is not done yet."""
        section, request, subsets = self.section, self.request, self.subsets
        layer = section.layer or min(model.layers.values())

        def look_at_kept() -> tuple[str, bool]:
            check_leaks(subsets, request.subsets, request.root)
            model_of = model_digest(request.model, Digests(request.folder.digests))
            made = fitting.maps_digest_of(model_of, section, subsets, self.preparation, layer, self.words)
            return made, fitting.has_alignment(folder, made, request.folder.predictions)

        made, kept = on_first(look_at_kept)
        if kept:
            return
        ranks = Ranks(distributed.rank(), distributed.world(), lockstep, distributed.sum_tensor, on_first)
        began = time.monotonic()
        links = on_each(lambda: make_linker(section, self.preparation.tokenizer, self.words))
        found = fitting.fit_maps(model, self.preparation, subsets, section.method, layer, budget, ranks, links)
        facts: dict[str, Any] = {"method": section.method, "made_of": made, "model": request.model}
        facts |= {"rank_seconds": round((time.monotonic() - began) * distributed.world(), 3)}
        facts |= {"peak_gb": distributed.peak_memory() / 1e9}
        on_first(
            lambda: fitting.write_alignment(folder, found, {**facts, "fitted_on": fitting.file_digests(subsets, request.root)})
        )


def _maps_line(alignment: Alignment, request: Request) -> str:
    """Which languages are mapped, and which that are evaluated are not."""
    asked = dict.fromkeys(subset.read_as for subset in request.subsets)
    without = [code for code in asked if alignment.map_of(code) is None]
    left = f"; as they are: {', '.join(without)}" if without else ""
    return f"states at layer {alignment.layer} are mapped to English: {', '.join(alignment.maps)}{left}"
