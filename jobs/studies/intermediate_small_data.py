"""The files of intermediate-small, cut from a download folder of XTREME-R's layout.

    python jobs/studies/intermediate_small_data.py DOWNLOAD OUT

Tags in German, Lithuanian and Romanian are at hand as test files alone: they become train files here, as nothing is scored on
tags. Of NER's dev files the first 300 sentences of each language become its test file (lines are copied as they are).
"""

import shutil
import sys
from pathlib import Path

TAGGED = ("de", "lt", "ro")
NAMED = ("en", "ka", "mr", "sw", "gu", "jv", "my", "pa", "qu", "yo")
TEXT = ("ka", "mr", "sw", "gu", "jv", "my", "pa", "qu", "yo")
SENTENCES = 300


def main(download: Path, out: Path) -> None:
    copy(download / "udpos/train-en.tsv", out / "udpos/train-en.tsv")
    for code in TAGGED:
        copy(download / f"udpos/test-{code}.tsv", out / f"udpos/train-{code}.tsv")
    copy(download / "panx/train-en.tsv", out / "panx/train-en.tsv")
    for code in NAMED:
        copy(download / f"panx/dev-{code}.tsv", out / f"panx/test-{code}.tsv", SENTENCES)
    for code in TEXT:
        copy(download / f"mlm/udhr/{code}.txt", out / f"mlm/udhr/{code}.txt")


def copy(source: Path, target: Path, sentences: int | None = None) -> None:
    if not source.is_file():
        sys.exit(f"{source}: no such file")
    target.parent.mkdir(parents=True, exist_ok=True)
    if sentences is None:
        shutil.copyfile(source, target)
    else:
        blocks = source.read_text(encoding="utf-8").strip("\n").split("\n\n")[:sentences]
        target.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    print(target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
