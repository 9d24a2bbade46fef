"""Makes xdist/languages/table.tsv from kept libraries: python docs/make_languages.py

Needs packages that xdist itself does not: `pip install langcodes language-data python-iso639 shapely; pip install --no-deps
urielplus pyglottolog`. Codes and kinds of codes are ISO 639-3's (python-iso639), names and usual scripts CLDR's (langcodes),
families and coordinates Glottolog's (as urielplus ships them), the outlines of continents those that pyglottolog ships.
"""

import csv
import gzip
import json
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[1] / "xdist" / "languages" / "table.tsv"
# Of Indo-European the branch is given: the first of these that Glottolog's lineage names.
BRANCHES = {"Romance": "Romance", "Germanic": "Germanic", "Slavic": "Slavic", "Eastern Baltic": "Baltic", "Celtic": "Celtic"}
BRANCHES |= {
    "Indo-Aryan": "Indo-Aryan",
    "Iranian": "Iranian",
    "Greek": "Greek",
    "Armenic": "Armenian",
    "Nuristani": "Nuristani",
}
AREAS = {"africa": "Africa", "asia": "Asia", "europe": "Europe", "northamerica": "North America", "oceania": "Oceania"}
SCRIPTS = {"Hans": "Simplified Han", "Hant": "Traditional Han", "Hani": "Han"}
AREAS |= {"southamerica": "South America"}
NAMES = {"ben": "Bengali", "fil": "Tagalog"}  # as this field calls them; CLDR: Bangla, Filipino
# Where CLDR says nothing, or another script than files have: its Korean is Hangul with Han.
USUAL = {"kor": "Hang", "azb": "Arab", "acm": "Arab", "acq": "Arab", "afb": "Arab", "pbt": "Arab", "uzs": "Arab"}
USUAL |= {"anp": "Deva", "blk": "Mymr", "grc": "Grek", "hbo": "Hebr", "ksw": "Mymr", "orv": "Cyrl", "syc": "Syrc"}
# Codes of several languages (ISO 639-5) that files have; which one is meant, the task says (`Task.members`).
COLLECTIVE = [
    ("ber", "", "", "Berber", "Latn", "Afro-Asiatic", "Africa"),
    ("bih", "", "", "Bihari", "Deva", "Indo-European: Indo-Aryan", "Asia"),
    ("nah", "", "", "Nahuatl", "Latn", "Uto-Aztecan", "North America"),
    ("oto", "", "", "Otomi", "Latn", "Otomanguean", "North America"),
]
# A bare macrolanguage of ISO 639-1 means this member (CLDR); others have none that goes without saying.
NOT_PREDOMINANT = {"quz", "tw", "fat", "cwd", "ojg", "fuc", "zyb", "esk", "bh"}


def main() -> None:
    import iso639
    from langcodes import Language, data_dicts

    iso = {one.part3: one for one in iso639.ALL_LANGUAGES}
    two = {one.part1: one.part3 for one in iso639.ALL_LANGUAGES if one.part1}
    alias = {member: two[macro] for member, macro in data_dicts.NORMALIZED_MACROLANGUAGES.items() if macro in two}
    alias = {member: macro for member, macro in alias.items() if member in iso and member not in NOT_PREDOMINANT}
    alias["tgl"] = "fil"  # the written standard of Tagalog: files call it either
    families = Families()
    members: dict[str, list[str]] = {}
    for one in iso.values():
        if one.macrolanguage:
            members.setdefault(one.macrolanguage, []).append(one.part3)
    rows = []
    for code, one in sorted(iso.items()):
        if one.type not in ("L", None, "H", "C") or code in alias:
            continue
        also = sorted(member for member, macro in alias.items() if macro == code)
        found = [families.of(member) for member in [*also, code, *members.get(code, ())]]
        family, area = next((pair for pair in found if pair), ("", ""))
        if not family:
            continue
        part1 = one.part1 or next((iso[member].part1 for member in also if iso[member].part1), "") or ""
        tag = Language.get(part1 or code)
        name = tag.display_name() if tag.is_valid() else one.name
        name = NAMES.get(code, one.name if name in (code, part1) or name.startswith("Unknown") else name)
        script = USUAL.get(code) or tag.maximize().script or ""
        script = "" if script in ("Zzzz", "Zyyy") else script
        rows.append((code, part1, ",".join(also), name, script, family, area))
    rows = sorted([*rows, *COLLECTIVE])
    with OUT.open("w", encoding="utf-8", newline="\n") as file:
        file.write("# iso639-3\tiso639-1\tmembers that it stands for\tname\tusual script\tfamily\tcontinent\n")
        file.writelines("\t".join(row) + "\n" for row in rows)
    with (OUT.parent / "scripts.tsv").open("w", encoding="utf-8", newline="\n") as file:
        file.write("# iso15924\tname\n")
        names = {code: Language.get(f"und-{code}").script_name() for code in sorted(data_dicts.ALL_SCRIPTS) if len(code) == 4}
        file.writelines(f"{code}\t{SCRIPTS.get(code, name)}\n" for code, name in names.items())
    print(len(rows), "languages;", Counter(row[5] for row in rows).most_common(5), Counter(row[6] for row in rows))


class Families:
    """Glottolog's family and a continent by ISO 639-3 code."""

    def __init__(self) -> None:
        data = _place("urielplus") / "database" / "urielplus_csvs"
        with (data / "lang_fam_geo.csv").open(encoding="utf-8", newline="") as file:
            self._rows = {row["language_id"]: row for row in csv.DictReader(file)}
        with (data / "uriel_glottocode_map.csv").open(encoding="utf-8", newline="") as file:
            self._codes = dict(csv.reader(file))
        self._areas = _areas()

    def of(self, code: str) -> tuple[str, str] | None:
        row = self._rows.get(self._codes.get(code, ""))
        if row is None:
            return None
        lineage = [part.strip() for part in row["lineage"].split(",")]
        if lineage[0] in ("Bookkeeping", "Unclassifiable", "Unattested", "Speech Register"):
            return None
        family = lineage[0] or "isolate"
        if family == "Indo-European":
            branch = next((BRANCHES[part] for part in lineage if part in BRANCHES), "")
            if "alba" in row["language_id"] or any(part.startswith("Albanian") for part in lineage):
                branch = "Albanian"
            family = f"{family}: {branch}" if branch else family
        return family, self._area(row) if row["latitude"] else ""

    def _area(self, row: dict[str, str]) -> str:
        from shapely import Point

        x, y = float(row["longitude"]), float(row["latitude"])
        here = Point(x - 360 if x > 180 else x, y)
        return min(self._areas, key=lambda name: self._areas[name].distance(here))  # small islands: the nearest


def _areas() -> dict[str, Any]:
    from shapely import union_all
    from shapely.geometry import shape

    found = {}
    for name, said in AREAS.items():
        with gzip.open(_place("pyglottolog") / "data" / f"{name}.geojson.gz", "rt", encoding="utf-8") as file:
            value = json.load(file)
        parts = value["features"] if value["type"] == "FeatureCollection" else [value]
        found[said] = union_all([shape(part.get("geometry", part)).simplify(0.05).buffer(0) for part in parts])
    return found


def _place(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"pip install --no-deps {package}")
    return Path(spec.origin).parent


if __name__ == "__main__":
    main()
