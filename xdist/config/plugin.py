"""A plugin as a run or a cluster names it (xdist/plugins.py): imported where the description is read to be acted on."""

from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from xdist import plugins
from xdist.config.fitting import Text
from xdist.config.loading import Reading
from xdist.errors import UserError


def _pinned(entry: str, info: ValidationInfo) -> str:
    if not Reading.of(info).imports:
        return entry
    try:
        return plugins.pinned(entry)
    except UserError as error:
        raise ValueError(str(error)) from None


Plugin = Annotated[str, Text.PATH, AfterValidator(_pinned)]
