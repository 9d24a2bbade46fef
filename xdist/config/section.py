"""What every section of a configuration is: strict, and read in the same way."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from xdist.config.loading import Reading, Source
from xdist.config.reader import KeyPath
from xdist.errors import UserError, unknown

LARGE = 10**12  # of what is counted: steps, examples, tokens


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    # What was called otherwise in earlier versions: a key and its name today, or a key, its values and their names today.
    earlier: ClassVar[Mapping[str, str | Mapping[str, str]]] = {}

    _source: Source = PrivateAttr(default_factory=lambda: Source(Path("(no file)")))
    _key: KeyPath = PrivateAttr(default=())

    def __eq__(self, other: object) -> bool:
        """In any spelling."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def error(self, key: KeyPath, message: str) -> UserError:
        """A UserError that points at `key` of this section in the file or override that set it."""
        return UserError(f"{self._source.at((*self._key, *key))}: {message}")

    def stands_in(self, source: Source, key: KeyPath = ()) -> None:
        """Remember where this section and those inside it were written."""
        self._source, self._key = source, key
        for name in type(self).model_fields:
            if isinstance(inner := getattr(self, name), Section):
                inner.stands_in(source, (*key, name))

    @classmethod
    def spoken_of(cls) -> str:
        """What messages about its keys begin with, where a section of another kind could be instead."""
        return ""

    @model_validator(mode="before")
    @classmethod
    def _known_words(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, dict):
            return values
        if Reading.of(info).earlier:
            values = dict(cls._today(key, value) for key, value in values.items())
        for key, value in values.items():
            if (today := cls._today(key, value)) != (key, value):
                named = f"'{key}' is called '{today[0]}'" if today[0] != key else f"{key}: '{value}' is called '{today[1]}'"
                raise cls._wrong(key, f"{named} now")
            if key not in cls.model_fields and cls.model_config.get("extra") == "forbid":
                raise cls._wrong(key, unknown("key", key, cls.model_fields))
        return values

    @classmethod
    def in_first_words(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Dumped `values` by the names that keys and values had first: a digest of them outlives a change of words."""
        found = dict(values)
        for old, new in cls.earlier.items():
            if isinstance(new, str) and new in found:
                found[old] = found.pop(new)
            elif not isinstance(new, str) and old in found:
                found[old] = {today: before for before, today in new.items()}.get(found[old], found[old])
        return found

    @classmethod
    def _today(cls, key: Any, value: Any) -> tuple[Any, Any]:
        now = cls.earlier.get(key)
        if now is None:
            return key, value
        return (now, value) if isinstance(now, str) else (key, now.get(value, value) if isinstance(value, str) else value)

    @classmethod
    def _wrong(cls, key: Any, message: str) -> PydanticCustomError:
        return PydanticCustomError("wrong_key", "{message}", {"key": key, "message": cls.spoken_of() + message})
