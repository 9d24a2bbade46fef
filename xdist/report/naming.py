"""What reports call a language: its name, family and script, its resource group, and how much of it was read."""

from xdist.languages import Pretraining, find_language

OTHER = "other"  # the group of what is no language: a mixed pair, a code of the user


def group_of(code: str, read: Pretraining) -> str:
    """The resource group of a language for an encoder that was pre-trained on `read`."""
    return read.group(code) if find_language(code) else OTHER


def size_of(code: str, read: Pretraining) -> str:
    """How much of a language was read as printed, '?' where it is not known."""
    size = read.size(code)
    return "?" if size is None else f"{size:,.0f}" if size >= 1000 else f"{size:.4g}"


def name_of(code: str) -> str:
    one = find_language(code)
    return one.name if one else code


def family_of(code: str) -> str:
    one = find_language(code)
    return one.family if one else "not listed"


def script_of(code: str) -> str:
    one = find_language(code)
    return one.script_name if one else "not listed"
