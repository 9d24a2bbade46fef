"""Kinds of text that a scheduler's file may hold: what is not plain enough is refused, saying what is expected."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from xdist.config.fitting import Text


def matching(pattern: str, says: str) -> AfterValidator:
    """Only strings that match all of `pattern`; `says` completes 'expected …'."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"expected {says}")
        return value

    return AfterValidator(check)


def _plain_path(value: Path) -> Path:
    if not value.is_absolute() or ".." in value.parts or not re.fullmatch(r"[A-Za-z0-9._/-]+", str(value)):
        raise ValueError("expected an absolute path of letters, digits, '.', '_' and '-', without '..'")
    return value


OneWord = Annotated[
    str, matching(r"[A-Za-z0-9][A-Za-z0-9._:@+,=&|*-]*", "one word of letters, digits and . _ : @ + , = & | * -")
]
Features = Annotated[
    str,
    matching(
        r"[A-Za-z0-9\[(][A-Za-z0-9._:@+,=&|*()\[\]-]{0,999}",
        "features of nodes as sbatch has them, such as a100&nvlink or [a|b]",
    ),
]
NodeNames = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._,\[\]-]{0,9999}", "names of nodes, such as n3 or n[1-4,7]")]
GenericResources = Annotated[
    str,
    matching(
        r"(?:[A-Za-z]\w{0,63}(?::[\w.-]{1,64})?(?::[0-9]{1,9}[KMGT]?)?(?:,(?!$)|$)){1,16}",
        "resources as sbatch has them, such as gpu:4 or gpu:a100:4",
    ),
]
MailAddress = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}(@[A-Za-z0-9.-]{1,190})?", "a mail address")]
OneLine = Annotated[str, matching(r"[^\x00-\x1f\x7f]*", "one line without control characters")]
Interpreter = Annotated[str, Text.ELSEWHERE, matching(r"[^\x00-\x1f\x7f]+", "one line without control characters")]
Label = Annotated[
    str,
    matching(
        r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "lower-case letters, digits and '-', at most 63, as Kubernetes names things"
    ),
]
LabelKey = Annotated[
    str, matching(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", "a label key")
]
LabelValue = Annotated[
    str, matching(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", "a label value: letters, digits, '-', '_' and '.'")
]
DnsName = Annotated[
    str,
    matching(
        r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?",
        "lower-case letters, digits, '-' and '.', at most 253, as Kubernetes names things",
    ),
]
ResourceQuantity = Annotated[str, matching(r"[1-9][0-9]{0,8}(\.[0-9]{1,9})?(k|M|G|T|Ki|Mi|Gi|Ti)?", "a quantity such as 16Gi")]
Duration = Annotated[str, matching(r"[1-9][0-9]{0,6}[smhd]", "a number and a unit: 90m, 24h or 2d")]
HostName = Annotated[str, matching(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", "a host name")]
Image = Annotated[
    str,
    matching(
        r"[a-z0-9][a-z0-9._:/-]*(:(?!latest$)[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})",
        "an image with a fixed tag or digest, such as registry.example/xdist:0.1",
    ),
]
Bind = Annotated[
    str,
    Text.ELSEWHERE,
    matching(
        r"/[^\x00-\x1f\x7f:,]*(:/[^\x00-\x1f\x7f:,]*)?(:r[ow])?", "an absolute path, or /there:/inside, or /there:/inside:ro"
    ),
]
PlainPath = Annotated[Path, Text.ELSEWHERE, AfterValidator(_plain_path)]
MemoryLimit = Annotated[str, matching(r"[0-9]{1,9}[KMGT]?", "a number and K, M, G or T; 0: all of the node")]
Cores = Annotated[str, matching(r"[1-9][0-9]{0,8}m?", "a number of cores such as 4 or 500m")]
