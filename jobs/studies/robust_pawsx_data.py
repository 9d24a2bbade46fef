"""A PAWS-X to train on where only its parallel dev sets are at hand: disjoint rows of them as train, dev and test.

    python jobs/studies/robust_pawsx_data.py DOWNLOAD OUT [TESTED]

Row i of every dev-xx.tsv is the same pair, so test rows are disjoint from training rows in every language. Rows 1 to 1,400 of
English become train-en, the next 200 dev-en, and of the last 400 of each language the first TESTED (or all) test-xx. Lines are
copied as they are (csv quoting, CRLF). DOWNLOAD/synonyms/counterfitted_neighbors.json, if there, becomes OUT/synonyms.json.
"""

import shutil
import sys
from pathlib import Path

LANGUAGES = ("de", "en", "fr", "zh")
TRAIN, DEV, TEST = slice(0, 1400), slice(1400, 1600), slice(1600, 2000)


def main(download: Path, out: Path, tested: int) -> None:
    rows = {code: read(download / "pawsx" / f"dev-{code}.tsv") for code in LANGUAGES}
    write(out / "pawsx" / "train-en.tsv", rows["en"][TRAIN])
    write(out / "pawsx" / "dev-en.tsv", rows["en"][DEV])
    for code in LANGUAGES:
        write(out / "pawsx" / f"test-{code}.tsv", rows[code][TEST][:tested])
    synonyms = download / "synonyms" / "counterfitted_neighbors.json"
    if synonyms.is_file():
        shutil.copyfile(synonyms, out / "synonyms.json")


def read(path: Path) -> list[bytes]:
    if not path.is_file():
        sys.exit(f"{path}: no such file")
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) != TEST.stop:
        sys.exit(f"{path}: expected {TEST.stop} rows, found {len(lines)}")
    return lines


def write(path: Path, lines: list[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))
    print(f"{path}: {len(lines)} rows")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else TEST.stop)
