"""The section `train.mlm`: how masked language modelling is trained on, where a task of it is among those trained.

- softmax: full: a masked token is distinguished from every piece of the vocabulary, as always.
- softmax: active: from the pieces that occur in the texts that are trained on, and special ones, alone. Another loss, and a
  smaller one: a piece that never occurs costs nothing and is not trained. Of 250,000 pieces a language uses some 20,000.
  Pieces that take the place of a masked one at random are drawn from them too.
"""

from typing import Literal

from pydantic import Field

from xdist.config.section import Section


class Mlm(Section):
    softmax: Literal["full", "active"] = Field(
        "full",
        description="the candidates for a masked token: full: every piece; active: the pieces that occur in the texts "
        "trained on, and special ones; another loss, and several times as fast where they are few",
    )
