"""Encoders that read dependency trees: against plain loops, in either layout, in files, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from batch_of import batch_of
from click.testing import CliRunner
from distributed.plain_syntax import PlainSyntax, plain_losses, plain_states
from tiny import tiny_benchmark, tiny_model
from tiny_kinds import KINDS, tiny_kind
from tiny_parses import tiny_parses
from torch import Tensor

from xdist.cli.__main__ import main
from xdist.config import Model as ModelSection
from xdist.config import load_run
from xdist.config.syntax import Syntax
from xdist.data.batches import collate
from xdist.data.tokenizer import load_tokenizer
from xdist.data.trees import targets_of
from xdist.errors import UserError
from xdist.estimate.adapters import settings_of
from xdist.estimate.shapes import shape_of
from xdist.export import weights
from xdist.formats.parses import UNTAGGED
from xdist.model.encoder import load_encoder
from xdist.model.folder import save_model
from xdist.model.kinds import KINDS as DESCRIBED
from xdist.model.model import Model
from xdist.model.syntax.attached import reader_of
from xdist.resolve.preparing import preparation_of
from xdist.resolve.resolved import resolve
from xdist.tasks.batch import Batch, Shift, View
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

XNLI = task("xnli")
SMALL = {"parses": {"xnli": "-"}, "layers": 2, "heads": 2, "width": 8, "rank": 5, "joined": 1, "dropout": 0.0, "distance": 2}
# Pieces of three sequences, and the trees of these: in the last one word was cut off, and a token is in no tree.
ROWS: list[dict[str, Any]] = [
    {"tokens": [0, 8, 9, 11, 12, 5, 2], "tree": [0, 2, 0, 2, 3, 4, -1], "upos": [17, 3, 4, 4, 0, 1, 17]},
    {"tokens": [0, 9, 2], "tree": [0, 0, -1], "upos": [17, 7, 17]},
    {"tokens": [0, 8, 7, 6, 5, 2], "tree": [0, 6, -1, 1, 6, -1, 0], "upos": [17, 5, 17, 5, 0, 17]},
]


def model_of(folder: Path | str, pack: bool = True, seed: int | None = 1, **options: Any) -> Model:
    syntax = {**SMALL, **options} if options is not None else None
    section = ModelSection.model_validate({"backbone": str(folder), "dropout": 0.0, "syntax": syntax})
    encoder = load_encoder(section, load_tokenizer(str(folder)), torch.float32, seed)
    return Model(encoder, {XNLI.head: family_of(XNLI)}, 1, pack)


def batch() -> Batch:
    made = batch_of([[row["tokens"]] for row in ROWS], labels=[0, 1, 2], head=XNLI.head)
    arrays = [{name: np.array(value) for name, value in row.items()} for row in ROWS]
    made.targets |= targets_of(arrays)
    return made


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("kinds")
    return lambda kind: tiny_kind(root / kind, kind) if not (root / kind).is_dir() else root / kind


def test_syntax_is_what_plain_loops_make(folders: Any) -> None:
    """Hidden states, both losses, and the gradients of all weights, the word embeddings' among them."""
    model, plain = model_of(folders("xlm-roberta"), strength=0.7).train(), model_of(folders("xlm-roberta"), strength=0).train()
    reader = reader_of(model.encoder)
    assert reader is not None
    reference = PlainSyntax(plain, dict(reader.named_parameters()), reader.section)
    (outputs,) = model(View(batch()))
    ((distance, depth),) = model.tree_losses
    weight = torch.linspace(-1, 1, outputs.numel()).view_as(outputs)
    ((outputs * weight).sum() + 0.5 * (distance.sum() + depth.sum())).backward()
    for number, row in enumerate(ROWS):
        hidden, far, deep = reference.read(row)
        found = plain.heads[XNLI.head](hidden[:1])
        torch.testing.assert_close(outputs[number : number + 1], found, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close((distance[number], depth[number]), (far, deep), atol=1e-5, rtol=1e-4)
        ((found * weight[number]).sum() + 0.5 * (far + deep)).backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    for name, value in reference.weights.items():
        torch.testing.assert_close(gradients[f"encoder.syntax.{name}"], value.grad, atol=1e-4, rtol=1e-3)
        assert value.grad is not None, name
    table = plain.encoder.get_input_embeddings().weight.grad
    torch.testing.assert_close(gradients["encoder.embeddings.word_embeddings.weight"], table, atol=1e-4, rtol=1e-3)


def test_syntax_reads_what_a_method_shifts(folders: Any) -> None:
    """A shift of the input embeddings is in what graph attention reads, as in what the layers do."""
    folder = folders("xlm-roberta")
    model, plain = model_of(folder).eval(), model_of(folder, strength=0).eval()
    reader = reader_of(model.encoder)
    assert reader is not None
    reference = PlainSyntax(plain, dict(reader.named_parameters()), reader.section)
    delta = torch.randn(len(batch().tokens), 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model.hidden(batch(), shifts=[Shift("input", delta)])
        expected = torch.cat([reference.read(row, part)[0] for row, part in zip(ROWS, delta.split([7, 3, 6]), strict=True)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("heads", [1, 2])
def test_syntax_parameters_are_planned(folders: Any, heads: int) -> None:
    folder = folders("xlm-roberta")
    reader = reader_of(model_of(folder, joined=heads).encoder)
    assert reader is not None
    planned = settings_of(shape_of(str(folder)), None, reader.section)
    assert planned["added"] == sum(value.numel() for value in reader.parameters())
    assert settings_of(shape_of(str(folder)), None, reader.section.model_copy(update={"strength": 0.0})) == {}


def test_syntax_sees_the_tree_it_is_given_and_no_further() -> None:
    """By loops: a token that is in no tree sees itself alone; distance 1 sees head and children."""
    section = Syntax.model_validate({**SMALL, "distance": 1, "layers": 1})
    torch.manual_seed(0)
    from xdist.model.syntax.modules import TreeReader, forest

    reader = TreeReader(6, 1, 4, section)
    reader.begin(0.5)
    made, embedded = batch(), torch.randn(16, 6)
    states = reader(embedded, forest(made))
    distance, depth = reader.probes(states, forest(made))
    own, first = dict(reader.named_parameters()), 0
    for number, row in enumerate(ROWS):
        size = len(row["tokens"])
        from xdist.data.trees import distances

        apart = distances(np.array(row["tree"]), size)
        expected = plain_states(own, section, embedded[first : first + size], torch.tensor(row["upos"]), apart)
        torch.testing.assert_close(states[first : first + size], expected)
        torch.testing.assert_close((distance[number], depth[number]), plain_losses(own, expected, apart))
        first += size
    moved = embedded.clone()
    moved[4] += 1  # of the first row: seen by its head, its child and itself
    changed = (reader(moved, forest(made)) - states).abs().sum(1) > 1e-6
    assert changed.nonzero()[:, 0].tolist() == [3, 4, 5]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if DESCRIBED[kind.split()[0]].keys_values])
def test_syntax_packed_equals_padded(folders: Any, kind: str) -> None:
    folder = folders(kind)
    packed, padded = (model_of(folder, pack, joined=2).eval() for pack in (True, False))
    plain = model_of(folder, strength=0).eval()
    with torch.no_grad():
        one, two, without = (model.hidden(batch()) for model in (packed, padded, plain))
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)
    assert (one - without).abs().max() > 1e-3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not DESCRIBED[kind.split()[0]].keys_values])
def test_syntax_is_refused_where_layers_have_no_keys_of_their_own(folders: Any, kind: str) -> None:
    with pytest.raises(UserError, match="have no matrices for keys and values alone"):
        model_of(folders(kind))


def test_syntax_strength_0_is_the_plain_encoder_to_the_bit(folders: Any) -> None:
    folder = folders("xlm-roberta")
    section = ModelSection.model_validate({"backbone": str(folder)})
    plain = Model(load_encoder(section, load_tokenizer(str(folder)), torch.float32, 1), {XNLI.head: family_of(XNLI)}, 1).eval()
    none = model_of(folder, strength=0).eval()
    assert list(none.state_dict()) == list(plain.state_dict())
    # A reader that exist  and adds nothing.
    silent = model_of(folder).eval()
    reader = reader_of(silent.encoder)
    assert reader is not None
    for matrix in (*reader.keys, *reader.values):
        torch.nn.init.zeros_(matrix.weight)
    with torch.no_grad():
        expected = plain(View(batch()))[0]
        assert torch.equal(none(View(batch()))[0], expected)
        assert torch.equal(silent(View(batch()))[0], expected)


def test_syntax_of_layers_that_are_computed_again(folders: Any) -> None:
    from xdist.model.syntax.attached import recompute_arguments

    found: list[dict[str, Tensor]] = []
    for again in (False, True):
        model = model_of(folders("xlm-roberta"))
        if again:
            model.encoder.gradient_checkpointing_enable({"use_reentrant": False, **recompute_arguments(model.encoder)})
        model.train()
        outputs = model(View(batch()), View(batch()))
        sum(output.square().sum() for output in outputs).backward()
        found.append({name: value.grad for name, value in model.named_parameters() if value.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value)


def test_syntax_model_folders(folders: Any, tmp_path: Path) -> None:
    """Saved and loaded to the bit, without being requested; not exported, nor averaged."""
    model = model_of(folders("xlm-roberta"), strength=2.0, kind="random").eval()
    folder = tmp_path / "model"
    save_model(folder, model, dict(model.state_dict()), load_tokenizer(str(folders("xlm-roberta"))))
    section = ModelSection(backbone=str(folder))
    loaded = Model(load_encoder(section, load_tokenizer(str(folder)), torch.float32), {}, 1).eval()
    reader = reader_of(loaded.encoder)
    assert reader is not None
    assert (reader.section.strength, reader.section.kind, reader.section.layers) == (2.0, "random", 2)
    with torch.no_grad():
        assert torch.equal(loaded.hidden(batch()), model.hidden(batch()))
        made = batch()
        made.targets = {}
        with pytest.raises(UserError, match="were read without any"):
            loaded.hidden(made)
    with pytest.raises(UserError, match="which no class of transformers does: it is not exported"):
        weights.of_model(folder)
    (folder / "syntax.json").write_text("{}")
    with pytest.raises(UserError, match="is not what xdist writes"):
        load_encoder(section, load_tokenizer(str(folder)), torch.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run")
    tiny_benchmark(root / "benchmark")
    path = tiny_parses(root / "parses", root / "benchmark", task("cldr-topic"), ("en", "de"))
    tiny_parses(root / "parses", root / "benchmark", task("cldr-spans"), ("en",))
    values = {
        "name": "syntax",
        "folder": str(root / "run"),
        "model": {
            "backbone": str(tiny_model(root / "encoder", root / "benchmark")),
            "syntax": {**SMALL, "parses": {"cldr-topic": path}},
        },
        "data": {"root": str(root / "benchmark"), "cache": str(root / "prepared")},
        "train": {"tasks": [{"task": "cldr-topic", "languages": ["en"]}], "steps": 3},
        "evaluate": {"tasks": ["cldr-topic"], "languages": ["en", "de"]},
    }
    (root / "run.yaml").write_text(yaml.safe_dump(values))
    return root / "run.yaml"


def test_syntax_of_prepared_rows(run: Path, tmp_path: Path) -> None:
    """Of tagged rows that were cut: columns in addition to the ids, in a batch one square for each row; other trees are other
    rows, and without any nothing changes."""
    place = str(run.parent / "parses/cldr-spans-{split}-{language}.conllu")
    overrides = ["train.tasks=[{task: cldr-spans}]", "evaluate=null", "data.max_length=12", f"data.cache={tmp_path}"]
    made = {}
    for name, kind in (("none", None), ("parses", "parses"), ("random", "random")):
        more = [f"model.syntax={{parses: {{cldr-spans: '{place}'}}, kind: {kind}}}"] if kind else ["model.syntax=null"]
        resolved = resolve(load_run(run, [*overrides, *more]))
        preparation = preparation_of(resolved)
        preparation.make_missing()
        made[name] = next(iter(preparation.shards(resolved.subsets.training)))
    assert len({shards.folder for shards in made.values()}) == 3
    plain, parsed, random = made.values()
    differ = 0
    for number in range(len(plain)):
        row, other = parsed.row(number), random.row(number)
        assert all(np.array_equal(value, row[name]) for name, value in plain.row(number).items())
        assert (row["tree"][:1] == 0).all()
        assert (row["tree"][row["words"]] >= 0).all()
        assert len(row["upos"]) == len(row["tokens"]) <= len(row["tree"])
        differ += not np.array_equal(row["tree"], other["tree"])
    assert differ > len(plain) / 4
    assert any(len(parsed.row(number)["tree"]) > len(parsed.row(number)["tokens"]) for number in range(len(parsed)))
    rows = [parsed.row(number) for number in range(5)]
    family = family_of(task("cldr-spans"))
    targets = collate(rows, range(5), family).targets
    assert len(targets["tree_distances"]) == sum(len(row["tokens"]) ** 2 for row in rows)


REFUSED = {
    "a language": (
        ["evaluate.languages=[sw]"],
        r"cldr-topic-test-sw\.conllu: no such file: no parses of 'cldr-topic' test in 'sw'",
    ),
    "a task": (["train.tasks=[{task: cldr-spans}]"], "unknown task with parses 'cldr-spans'"),
    "a family": (
        ["evaluate.tasks=[cldr-names]", "evaluate.languages=[de]"],
        "trees are of tasks of classification and tagging",
    ),
    "other words": (["robust={method: subword}"], "method 'subword' puts texts into other words, which have no parses"),
    "an adapter": (["model.adapter={rank: 4}"], "with an adapter no tree is read"),
    "a place": (["model.syntax.parses={cldr-topic: 'a-{lang}.conllu'}"], r"\{lang\} is not known"),
    "other files": (
        ["model.syntax.parses.cldr-topic={root}/cldr-spans-train-en.conllu"],
        "has no parse of this text of 'cldr-topic'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_syntax_refusals_are_one_line_before_the_start(run: Path, case: str) -> None:
    overrides, said = REFUSED[case]
    overrides = [one.replace("{root}", str(run.parent / "parses")) for one in overrides]
    with pytest.raises(UserError, match=said) as caught:
        resolve(load_run(run, overrides))
    assert "\n" not in str(caught.value)
    if case == "a language":
        found = CliRunner().invoke(main, ["train", str(run), *overrides, "--dry-run"])
        assert (found.exit_code, str(caught.value) in found.output) == (2, True)


def test_syntax_models_need_parses_and_fit_what_is_asked(run: Path, folders: Any, tmp_path: Path) -> None:
    model = model_of(folders("xlm-roberta"))
    save_model(tmp_path / "model", model, dict(model.state_dict()), load_tokenizer(str(folders("xlm-roberta"))))
    start = f"model.backbone={tmp_path / 'model'}"
    with pytest.raises(UserError, match=r"reads dependency trees: give model\.syntax"):
        resolve(load_run(run, [start, "model.syntax=null"]))
    with pytest.raises(UserError, match="was trained with rank: 5"):
        resolve(load_run(run, [start, "model.syntax.rank=6"]))
    with pytest.raises(UserError, match="reads no dependency trees"):
        resolve(load_run(run, ["train=null"]), "evaluate")
    resolve(load_run(run, [start, "data.max_length=64"]))
    assert UNTAGGED == 17
