"""Evaluations with maps that were fitted on ranks: retrieval is moved, English and strength 0 are not."""

import json
from pathlib import Path
from typing import Any

import yaml
from tiny import NAMES
from typing_of_commands import Typed


def test_maps_are_fitted_on_ranks_and_used(loaded: Typed, small: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "parallel").mkdir(parents=True)
    for path in (small / "benchmark").iterdir():
        (tmp_path / "data" / path.name).symlink_to(path)
    words = [word for words in NAMES.values() for word in words.split()]
    lines = [f"{one}\t{other}" for one, other in zip(words, reversed(words), strict=True)]
    (tmp_path / "data" / "parallel" / "de-en.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "en-de.txt").write_text("".join(f"{line}\n" for line in lines[:20]))
    by_words = {"dictionaries": str(tmp_path)}
    scored, predicted = {}, {}
    for name, ranks, align in (("mapped", 2, {}), ("still", 1, {"strength": 0}), ("one", 1, {}), ("words", 2, by_words)):
        run: dict[str, Any] = {
            "name": name,
            "folder": str(tmp_path / name),
            "model": {"backbone": str(small / "encoder")},
            "data": {"root": str(tmp_path / "data"), "cache": str(tmp_path / "prepared")},
            "evaluate": {"tasks": ["cldr-names"]},
            "align": {"tasks": [{"task": "parallel"}], **align},
            "runtime": {"ranks": ranks, "deepspeed": "zero0"},
        }
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
        done = loaded("xdist", "evaluate", tmp_path / "run.yaml")
        assert done.returncode == 0, done.stderr
        if not align:
            assert "states at layer 2 are mapped to English: de; as they are: sw" in done.stderr
            facts = json.loads((tmp_path / name / "alignment" / "alignment.json").read_text())
            assert facts["languages"]["de"]["pairs"] == len(lines)
            assert facts["rank_seconds"] > 0 < facts["peak_gb"]
        scored[name] = json.loads((tmp_path / name / "scores.json").read_text())["tasks"]["cldr-names"]
        predicted[name] = {
            code: (tmp_path / name / "predictions" / "cldr-names" / f"test-{code}.tsv").read_bytes() for code in ("de", "sw")
        }
    assert predicted["mapped"] == predicted["one"], "on any number of ranks"
    assert predicted["mapped"]["de"] != predicted["still"]["de"]
    assert predicted["mapped"]["sw"] == predicted["still"]["sw"], "it has no map"
    facts = json.loads((tmp_path / "words" / "alignment" / "alignment.json").read_text())
    assert 2 < facts["languages"]["de"]["pairs"] <= 20, "a row for each word that is spelled without <unk>"
    assert predicted["words"]["de"] != predicted["mapped"]["de"]
    assert set(scored["words"]["made_of"]["options"]["align"]["words"]) == {"de"}
    assert scored["mapped"]["made_of"]["options"]["align"]["method"] == "procrustes"
