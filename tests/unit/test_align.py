"""xdist align and the section `align`: what is fitted, what is written, what is refused."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from tiny import NAMES, tiny_model

from xdist.cli import main
from xdist.config import Data, load_run
from xdist.config import Model as ModelSection
from xdist.data.leaks import check_leaks, letters_of
from xdist.data.look import find_without_gold
from xdist.data.prepare import Preparation
from xdist.data.subset import Subset
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.evaluation.fitting import Ranks, fit_maps, has_alignment, read_alignment
from xdist.model.encoder import load_encoder
from xdist.model.model import Model
from xdist.resolve.resolved import resolve
from xdist.resolve.subsets import Subsets
from xdist.tasks.catalog import task

WORDS = [word for words in NAMES.values() for word in words.split()]


@pytest.fixture
def root(tmp_path: Path, data: Path) -> Path:
    """The tiny benchmark, and parallel text of German and English next to it."""
    folder = tmp_path / "data"
    (folder / "parallel").mkdir(parents=True)
    for path in data.iterdir():
        (folder / path.name).symlink_to(path)
    lines = [f"das {one} und {other}\tthe {one} and {other}" for one, other in pairwise(WORDS)]
    (folder / "parallel" / "de-en.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def model(tmp_path: Path, data: Path) -> Path:
    return tiny_model(tmp_path / "encoder", data, layers=3)


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


def described(tmp_path: Path, root: Path, model: Path, **align: Any) -> Path:
    run = {
        "name": "a",
        "folder": str(tmp_path / "run"),
        "model": {"backbone": str(model)},
        "data": {"root": str(root), "cache": str(tmp_path / "prepared")},
        "evaluate": {"tasks": ["cldr-names"], "languages": ["de", "sw"]},
        "align": align,
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    return tmp_path / "run.yaml"


@pytest.mark.parametrize("method", ["mean-shift", "procrustes"])
def test_align_writes_maps_and_what_they_were_fitted_on(tmp_path: Path, root: Path, model: Path, method: str) -> None:
    where = ("--data", root, "--cache", tmp_path / "prepared", "--task", "parallel", "--languages", "de")
    done = typed("align", model, tmp_path / "out", *where, "--method", method)
    assert done.exit_code == 0, done.output
    assert f"de: {len(WORDS) - 1} pairs" in done.output
    assert f"{method} at layer 2" in done.output
    facts = json.loads((tmp_path / "out" / "alignment.json").read_text())
    assert facts["method"] == method
    assert set(facts["fitted_on"]) == {"parallel train de"}
    told = facts["languages"]["de"]
    assert told["distance_after"] < told["distance_before"]
    found = read_alignment(tmp_path / "out").maps["de"]
    if method == "mean-shift":
        assert found.matrix is None
    else:
        assert found.matrix is not None
        assert torch.allclose(found.matrix @ found.matrix.T, torch.eye(64), atol=1e-5)
    again = typed("align", model, tmp_path / "out", *where)
    assert again.exit_code == 2
    assert "already exists" in again.output


def test_align_of_every_language_that_is_evaluated(tmp_path: Path, root: Path, model: Path) -> None:
    """Of two languages one has parallel text; the other stays as it is."""
    run = load_run(described(tmp_path, root, model, method="procrustes", tasks=[{"task": "parallel"}]))
    resolved = resolve(run, "evaluate")
    assert [str(one) for one in resolved.subsets.aligned] == ["parallel train de"]
    assert "parallel train de" in [str(one) for one in resolved.read("evaluate")]
    options = resolved.request.options(task("cldr-names"))
    assert options["align"]["method"] == "procrustes", "predictions by other maps never mix with these"


def test_a_language_has_one_map_of_all_its_text_in_any_code(tmp_path: Path, root: Path, model: Path) -> None:
    """Its file may have another code than the task that is evaluated, as may one text another than the next."""
    sib = root / "sib200"
    for code in ("eng_Latn", "deu_Latn"):
        (sib / code).mkdir(parents=True)
        rows = (f"{row}\ttravel\t{word} {code}\n" for row, word in enumerate(WORDS[:6]))
        (sib / code / "train.tsv").write_text("index_id\tcategory\ttext\n" + "".join(rows))
    (root / "parallel/srp-Cyrl-en.tsv").write_text("jedan dva\tone two\n")

    def aligned(*tasks: str, languages: str) -> list[str]:
        run = load_run(
            described(tmp_path, root, model, tasks=[{"task": "parallel"}, {"task": "sib200-parallel"}]),
            [f"evaluate.tasks=[{','.join(tasks)}]", f"evaluate.languages={languages}"],
        )
        return list(map(str, Subsets(run).aligned))

    assert aligned("ntrex", languages="[srp-Cyrl]") == ["parallel train srp-Cyrl"]
    assert aligned("sib200", languages="[de]") == ["parallel train deu_Latn", "sib200-parallel train deu_Latn"]
    assert aligned("cldr-names", "sib200", languages="[de]") == ["parallel train de", "sib200-parallel train deu_Latn"]
    subsets = [Subset(task("parallel"), "train", "de"), Subset(task("sib200-parallel"), "train", "deu_Latn")]
    tokenizer = load_tokenizer(str(model))
    preparation = Preparation(subsets, Data(root=root, cache=tmp_path / "prepared"), tokenizer)
    preparation.make_missing()
    encoder = Model(load_encoder(ModelSection(backbone=str(model)), tokenizer, torch.float32), {}, 0).eval()
    found = fit_maps(encoder, preparation, subsets, "mean-shift", 1, 1000, Ranks())
    assert {code: one.facts["pairs"] for code, one in found.maps.items()} == {"de": len(WORDS) - 1 + 6}


@pytest.mark.parametrize(
    "align, message",
    [
        ({"tasks": [{"task": "cldr-topic"}]}, "task 'cldr-topic' is no parallel text (classification)"),
        ({"tasks": [{"task": "parallel", "languages": ["yo"]}]}, "yo-en"),
        ({"folder": "nowhere"}, "nowhere: no such folder"),
        ({}, "give either tasks to fit on or, in their place, a folder"),
        ({"tasks": [{"task": "parallel"}], "strength": 2}, "align.strength"),
        ({"folder": "nowhere", "layer": 1}, "the layer is that of the folder"),
    ],
)
def test_align_on_what_is_not_there_is_one_line(
    tmp_path: Path, root: Path, model: Path, align: dict[str, Any], message: str
) -> None:
    done = typed("evaluate", described(tmp_path, root, model, **align), "--dry-run")
    assert done.exit_code == 2
    assert message in done.output
    assert done.output.count("\n") == 1


def test_align_needs_something_to_evaluate(tmp_path: Path, root: Path, model: Path) -> None:
    path = described(tmp_path, root, model, tasks=[{"task": "parallel"}])
    trained = ["evaluate=null", "train.steps=1", "train.tasks=[{task: cldr-topic}]"]
    with pytest.raises(UserError, match="maps are for evaluation"):
        load_run(path, trained)


def test_sentences_of_a_test_set_are_no_text_to_fit_on(tmp_path: Path, root: Path) -> None:
    """With any signs and capitals; short ones are everywhere."""
    place = root / "ntrex" / "NTREX-128"
    place.mkdir(parents=True)
    (place / "newstest2019-ref.deu.txt").write_text("Guten Abend allerseits!\nJa.\nWir fahren morgen ans Meer.\n")
    (place / "newstest2019-src.eng.txt").write_text("Good evening, everyone!\nYes.\nTomorrow we go to the sea.\n")
    fitted = Subset(task("parallel"), "train", "de")
    scored = [Subset(task("ntrex"), "test", task("ntrex").own("de"))]
    (root / "parallel" / "de-en.tsv").write_text("Ja.\tYes.\nEtwas ganz anderes hier\tSomething else altogether\n")
    check_leaks([fitted], scored, root)
    (root / "parallel" / "de-en.tsv").write_text("Ja.\tYes.\nbei uns am Abend\tgood evening  everyone\n")
    with pytest.raises(
        UserError, match="1 of 4 texts are sentences of what is evaluated, such as 'good evening  everyone' of ntrex"
    ):
        check_leaks([fitted], scored, root)
    assert letters_of("Ğ, ɔ́!") == letters_of("ğ ɔ́")


@pytest.mark.parametrize("name", ["parallel", "tlm"])
def test_translations_of_a_test_set_are_no_text_to_train_on(tmp_path: Path, name: str) -> None:
    for path, text in (("tatoeba/sw-en.sw", "Nyumba kubwa iko mjini\n"), ("tatoeba/sw-en.en", "The house is in town\n")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / name).mkdir()
    (tmp_path / name / "sw-en.tsv").write_text("Nyumba kubwa iko mjini\tThe house is in town\n")
    with pytest.raises(UserError, match=f"{name}.*: 2 of 2 texts are sentences of what is evaluated"):
        find_without_gold(tmp_path, [Subset(task(name), "train", "sw")], [Subset(task("tatoeba"), "test", "sw")])


def test_maps_of_other_text_are_refused_once_something_is_predicted(tmp_path: Path) -> None:
    folder, predictions = tmp_path / "alignment", tmp_path / "predictions"
    assert not has_alignment(folder, "a", predictions)
    folder.mkdir()
    (folder / "alignment.json").write_text(json.dumps({"layer": 1, "languages": {}, "made_of": "a"}))
    (folder / "alignment.safetensors").write_bytes(b"")
    assert has_alignment(folder, "a", predictions)
    assert not has_alignment(folder, "b", predictions)
    (predictions / "cldr-names").mkdir(parents=True)
    with pytest.raises(UserError, match="was fitted on another model or other text"):
        has_alignment(folder, "b", predictions)


def test_sib_rows_are_matched_by_their_number(tmp_path: Path) -> None:
    head = "index_id\tcategory\ttext\n"
    for code, rows in (("yor_Latn", "7\ta\tméje\n9\tb\tmésàn\n"), ("eng_Latn", "9\tb\tnine\n7\ta\tseven\n3\tc\tthree\n")):
        (tmp_path / "sib200" / code).mkdir(parents=True)
        (tmp_path / "sib200" / code / "train.tsv").write_text(head + rows)
    found = [(one.text, one.translation) for one in task("sib200-parallel").examples(tmp_path, "train", "yor_Latn")]
    assert found == [("méje", "seven"), ("mésàn", "nine")]
    (tmp_path / "sib200" / "yor_Latn" / "train.tsv").write_text(head + "7\ta\tone\n7\tb\ttwo\n")
    with pytest.raises(UserError, match=r"train\.tsv:3: index_id 7 appears twice"):
        list(task("sib200-parallel").examples(tmp_path, "train", "yor_Latn"))
