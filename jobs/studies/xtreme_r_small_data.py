"""The files of xtreme-r-small, cut from a download folder of XTREME-R's layout.

    python jobs/studies/xtreme_r_small_data.py DOWNLOAD OUT

PAWS-X is at hand as dev and test alone: its dev files, the same pairs in each language, become train files, as nothing is
scored on pairs. NER's dev files become its test files. Of tags and names the first 300 sentences of a language are tested on.
"""

import sys
from pathlib import Path

from intermediate_small_data import NAMED, SENTENCES, copy

PAIRED = ("en", "de", "fr", "zh")
TAGGED = ("en", "de", "lt", "ro", "tl", "wo", "yo")
TRANSLATED = ("jv", "ka", "sw", "ta")


def main(download: Path, out: Path) -> None:
    for code in PAIRED:
        copy(download / f"pawsx/dev-{code}.tsv", out / f"pawsx/train-{code}.tsv")
    copy(download / "udpos/train-en.tsv", out / "udpos/train-en.tsv")
    for code in TAGGED:
        copy(download / f"udpos/test-{code}.tsv", out / f"udpos/test-{code}.tsv", SENTENCES)
    copy(download / "panx/train-en.tsv", out / "panx/train-en.tsv")
    for code in NAMED:
        copy(download / f"panx/dev-{code}.tsv", out / f"panx/test-{code}.tsv", SENTENCES)
    for code in TRANSLATED:
        for name in (f"tatoeba/{code}-en.{code}", f"tatoeba/{code}-en.en", f"labels/tatoeba/test-{code}.tsv"):
            copy(download / name, out / name)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
