"""The section `model.branches`: the top layers of the encoder once for each supervised language, on shared lower layers.

The multilingual branch model of arXiv 2202.13654. How deep branches are, where they begin and how they are mixed is not
published. The number of layers, the beginning from the encoder's own top layers and the mean at test are choices of this
package.
"""

from typing import Annotated, Literal

from pydantic import Field

from xdist.config.section import Section

# By which branches the texts of a language that has one are read when they are scored.
AtTest = Literal["own", "mixture"]


class Branches(Section):
    layers: int = Field(3, ge=1, le=1000, description="this many of the top layers exist once for each language")
    languages: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None, description="that have a branch, all of them trained on; null: each one that is trained on"
    )
