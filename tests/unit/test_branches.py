"""Branches of an encoder: what they compute, by kind and layout, how they are mixed, kept and refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from batch_of import batch_of
from click.testing import CliRunner
from passes_of import context_of, passes_of
from safetensors.torch import load_file
from test_export import make_run
from tiny import tiny_model
from tiny_kinds import LAYERS, tiny_kind
from torch import Tensor

from xdist.cli import main
from xdist.config import Model as ModelSection
from xdist.config.merge import Merge
from xdist.data.branches import is_branch_weight
from xdist.data.tokenizer import load_tokenizer
from xdist.errors import UserError
from xdist.estimate.shapes import branched, shape_of
from xdist.export.hugging_face import prepare_export
from xdist.export.merging import merge
from xdist.export.weights import of_model
from xdist.model.branches import branches_of
from xdist.model.encoder import load_encoder
from xdist.model.folder import save_model
from xdist.model.kinds import KINDS
from xdist.model.model import Model
from xdist.robust.adversarial import Adversarial
from xdist.robust.branch_mixture import BranchMixture
from xdist.robust.consistency import Consistency
from xdist.tasks.batch import Batch, View
from xdist.tasks.catalog import task
from xdist.tasks.family import family_of

XNLI = task("xnli")
ROWS = [[[2, 8, 9, 11, 12, 15, 3]], [[2, 9, 3]], [[2, 8, 7, 3], [2, 5, 5, 5, 9, 3]], [[2, 6, 3]], [[2, 5, 7, 9, 3]]]
SPOKEN = ("en", "de", "sw", "qu", "de")  # the fourth has no branch
THREE = ["en", "de", "sw"]
STACKED = [kind for kind, described in KINDS.items() if described.layers]


def model_of(folder: str, languages: list[str] | None = None, layers: int = 2, pack: bool = True) -> Model:
    section = ModelSection.model_validate(
        {"backbone": folder, "branches": languages and {"layers": layers, "languages": languages}}
    )
    encoder = load_encoder(section, load_tokenizer(folder), torch.float32, 1)
    return Model(encoder, {XNLI.head: family_of(XNLI)}, 1, pack).eval()


def shaken(model: Model) -> Model:
    """With branches that are not the same any more, as after a training."""
    generator = torch.Generator().manual_seed(3)
    for name, value in model.encoder.named_parameters():
        if is_branch_weight(name):
            value.data += 0.1 * torch.randn(value.shape, generator=generator)
    return model


def spoken(languages: tuple[str, ...] = SPOKEN, rows: Any = None) -> Batch:
    rows = ROWS if rows is None else rows
    batch: Batch = batch_of(rows, labels=[0] * len(rows), head=XNLI.head)
    return replace(batch, languages=languages)


def plain_with(folder: str, model: Model, number: int, pack: bool = True) -> Model:
    """The plain encoder with the layers of one branch instead of its own."""
    found = model_of(folder, pack=pack)
    values = dict(found.encoder.state_dict())
    if number:
        branch = f".branch_{number}."
        values |= {name.replace(branch, "."): value for name, value in model.encoder.state_dict().items() if branch in name}
    found.encoder.load_state_dict(values)
    return found


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("kind", STACKED)
@torch.no_grad()
def test_branch_of_each_row_is_that_of_its_language(folders: Callable[[str], str], kind: str, pack: bool) -> None:
    folder = folders(kind)
    model = shaken(model_of(folder, THREE, pack=pack))
    plain = [plain_with(folder, model, number, pack) for number in range(3)]
    batch = spoken()
    for layer in [*range(LAYERS + 1), None]:
        of_each = torch.stack([one.hidden(batch, layer) for one in plain])
        largest = float(of_each.abs().max())
        expected = torch.stack([of_each[THREE.index(SPOKEN[row])] if row != 3 else of_each.mean(0) for row in range(5)])
        wanted = expected[batch.token_row, torch.arange(len(batch.tokens))]
        torch.testing.assert_close(model.hidden(batch, layer), wanted, atol=1e-5 * max(1.0, largest), rtol=1e-5)
    having = branches_of(model.encoder)
    assert having
    having.mixed = True  # at test: the mean of all, for any language
    torch.testing.assert_close(model.hidden(batch), of_each.mean(0), atol=1e-5 * max(1.0, largest), rtol=1e-5)


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("kind", STACKED)
def test_one_branch_is_the_plain_encoder_to_the_bit(folders: Callable[[str], str], kind: str, pack: bool) -> None:
    folder = folders(kind)
    plain, branched_ = model_of(folder, pack=pack), model_of(folder, ["en"], pack=pack)
    assert plain.state_dict().keys() == branched_.state_dict().keys()
    for language in ("en", "qu"):
        assert torch.equal(plain.hidden(spoken()), branched_.hidden(spoken((language,) * 5)))
    for one in (plain.train(), branched_.train()):
        torch.manual_seed(1)
        one(View(spoken(("en",) * 5)))[0].sum().backward()
    # DeBERTa's table of distances is read by both parts, whose gradients are summed in another order.
    near = 1e-5 if kind == "deberta-v2" else 0.0
    for name, value in plain.named_parameters():
        found = branched_.get_parameter(name).grad
        assert (value.grad is None) == (found is None)
        if value.grad is not None and found is not None:
            torch.testing.assert_close(found, value.grad, atol=near, rtol=near, msg=name)


@torch.no_grad()
def test_branches_of_an_encoder_with_a_convolution(tmp_path: Path) -> None:
    """DeBERTa's stands after the first layer, which is under the branches."""
    folder = str(tiny_kind(tmp_path / "deberta", "deberta-v2", conv_kernel_size=3))
    alike, plain = model_of(folder, THREE), model_of(folder)
    assert plain.encoder.encoder.conv is not None
    torch.testing.assert_close(alike.hidden(spoken()), plain.hidden(spoken()), atol=1e-5, rtol=1e-5)
    assert alike.encoder.encoder.conv is not None, "it is there again"


def test_branches_that_nobody_reads_are_not_computed(folders: Callable[[str], str]) -> None:
    model, seen = model_of(folders("xlm-roberta"), THREE), list[str]()
    for name, part in model.encoder.named_modules():
        if name.startswith("encoder.layer.") and name.rpartition(".")[2] in ("0", "1", "2", "branch_1", "branch_2"):
            part.register_forward_hook(lambda *_, name=name: seen.append(name.removeprefix("encoder.layer.")))
    model.hidden(spoken(("de",) * 5))
    assert seen == ["0", "1.branch_1", "2.branch_1"]
    seen.clear()
    with torch.no_grad():
        model.train()(View(spoken()), View(spoken(), mixture=lambda own: own))  # two batches: two times all
    assert seen == ["0", *(f"{at}{branch}" for branch in ("", ".branch_1", ".branch_2") for at in (1, 2))] * 2
    seen.clear()
    batch = spoken()
    model(View(batch), View(batch, mixture=lambda own: own))
    assert seen.count("0") == 1, "views of one batch share the layers under the branches"


def test_branch_mixtures_are_drawn_for_rows(folders: Callable[[str], str]) -> None:
    model = shaken(model_of(folders("xlm-roberta"), THREE))
    own = torch.eye(3)[[0, 1, 2, 0, 1]]

    def drawn(batch: Batch, weights: Tensor, **options: Any) -> Tensor:
        (one,) = passes_of([BranchMixture(**options)], context_of(model, batch))
        assert one.views[0].mixture is None
        assert one.views[1].mixture
        found: Tensor = one.views[1].mixture(weights)
        return found

    found = drawn(spoken(), own)
    torch.testing.assert_close(found.sum(1), torch.ones(5))
    alone = replace(batch_of(ROWS[2:3], row_ids=[2], labels=[0], head=XNLI.head), languages=("sw",))
    assert torch.equal(drawn(alone, own[2:3])[0], found[2]), "whatever else is in the batch"
    many = spoken(("en",) * 4000, [[[2, 5, 3]]] * 4000)
    mine = torch.eye(3)[[0] * 4000]
    free = drawn(many, mine, drop=0.0)
    assert free.mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    assert free.var(0).tolist() == pytest.approx([1 / 18] * 3, abs=0.005), "of Dirichlet(1, 1, 1)"
    dropped = drawn(many, mine)
    assert float((dropped[:, 0] == 0).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert bool((dropped[:, 1:] > 0).all())
    assert torch.equal(drawn(spoken(), torch.ones(5, 1)), torch.ones(5, 1)), "one branch is never left out"


def test_branch_mixture_is_the_sum_of_what_branches_make(folders: Callable[[str], str]) -> None:
    folder = folders("xlm-roberta")
    model, batch = shaken(model_of(folder, THREE)), spoken()
    (one,) = passes_of([BranchMixture(weight=0.5)], context_of(model, batch))
    assert one.weights == (1.0, 0.5)
    weights = one.views[1].mixture(torch.eye(3)[[0, 1, 2, 0, 1]])
    of_each = torch.stack([plain_with(folder, model, number).hidden(batch) for number in range(3)])
    expected = sum(weights[batch.token_row, number, None] * of_each[number] for number in range(3))
    head = model.heads[XNLI.head]
    with torch.no_grad():
        found = model(*one.views)
        torch.testing.assert_close(found[1], head(expected[batch.starts]), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(found[0], found[1], atol=1e-3)
    assert not next(passes_of([BranchMixture(weight=0)], context_of(model, batch))).views[1:], "idle at weight 0"


def test_branch_mixture_goes_with_other_methods(folders: Callable[[str], str]) -> None:
    model, batch = shaken(model_of(folders("xlm-roberta"), THREE)), spoken(rows=[row[:1] for row in ROWS])
    methods = [Adversarial(radius=0.1), BranchMixture(), Consistency(weight=2)]
    (one,) = passes_of(methods, context_of(model, batch))
    assert [(bool(view.shifts), view.mixture is not None) for view in one.views] == [
        (False, False),
        (True, False),
        (True, True),
    ]
    (one,) = passes_of(methods[1:], context_of(model, batch))
    assert [view.mixture is not None for view in one.views] == [False, False, True]
    loss, _ = one.loss(model(*one.views), model.families[XNLI.head])
    loss.backward()
    assert all(value.grad is not None for name, value in model.encoder.named_parameters() if is_branch_weight(name))


@pytest.fixture
def trained(tmp_path: Path, data: Path) -> Path:
    """A model folder of two branches, as a training leaves it."""
    encoder = tiny_model(tmp_path / "encoder", data)
    make_run(tmp_path / "run", encoder, ["cldr-topic"])
    model, tokenizer = shaken(model_of(str(encoder), ["en", "de"], layers=1)), load_tokenizer(str(encoder))
    topic = task("cldr-topic")
    whole = Model(model.encoder, {topic.head: family_of(topic)}, 1)
    save_model(tmp_path / "run" / "model", whole, whole.state_dict(), tokenizer)
    return tmp_path / "run" / "model"


def test_branches_are_kept_in_files(trained: Path) -> None:
    weights = load_file(trained / "model.safetensors")
    mine = {name for name in weights if is_branch_weight(name)}
    assert {name.partition(".branch_1.")[0] for name in mine} == {"encoder.layer.1"}
    model, plain = model_of(str(trained)), model_of(str(trained.parent.parent / "encoder"))
    having = branches_of(model.encoder)
    assert having
    assert having.index.languages == ("en", "de")
    for name in mine:
        assert torch.equal(model.encoder.get_parameter(name), weights[name])
    shape, before = shape_of(str(trained)), shape_of(str(trained.parent.parent / "encoder"))
    counted = [sum(value.numel() for value in one.encoder.parameters()) for one in (model, plain)]
    assert [shape.parameters, before.parameters] == counted, "as a plan counts them"
    assert branched(
        before, ModelSection.model_validate({"backbone": "x", "branches": {"layers": 1, "languages": ["en", "de"]}}).branches
    ) == replace(before, parameters=counted[0])


def test_branches_are_averaged_and_not_given_away(tmp_path: Path, trained: Path) -> None:
    other = shaken(shaken(model_of(str(trained))))
    topic = task("cldr-topic")
    whole = Model(other.encoder, {topic.head: family_of(topic)}, 1)
    save_model(tmp_path / "other", whole, whole.state_dict(), load_tokenizer(str(trained)))
    merge(str(trained), Merge.model_validate({"models": [{"model": str(tmp_path / "other")}]}), tmp_path / "mean")
    (one, two, mean) = (load_file(place / "model.safetensors") for place in (trained, tmp_path / "other", tmp_path / "mean"))
    name = next(name for name in one if is_branch_weight(name))
    torch.testing.assert_close(mean[name], (one[name] + two[name]) / 2)
    assert branches_of(model_of(str(tmp_path / "mean")).encoder)
    plain = tmp_path / "encoder"
    with pytest.raises(UserError, match="has not the same branches as the start"):
        merge(str(trained), Merge.model_validate({"models": [{"model": str(plain)}]}), tmp_path / "no")
    with pytest.raises(UserError, match="the encoder has branches, for which transformers has no class"):
        prepare_export(of_model(trained), str(trained), None)


def test_branch_files_that_are_damaged_are_one_line(trained: Path) -> None:
    index = trained / "branches.json"
    for text, message in (
        ('{"layers": 0, "languages": ["en"]}', "is not what xdist writes for branches"),
        ('{"layers": 1, "languages": ["en", "de", "sw"]}', "holds no weight 'encoder.layer.1.branch_2"),
    ):
        index.write_text(text)
        with pytest.raises(UserError, match=message):
            model_of(str(trained))


RUN = {
    "name": "a",
    "train": {"tasks": [{"task": "cldr-topic", "languages": ["en", "de"]}], "steps": 1},
    "runtime": {"ranks": 1},
}
REFUSED = [
    (["model.branches={layers: 2}"], "model.branches.layers: of 2 layers at most 1 can be branches"),
    (["model.branches={layers: 1, languages: [en]}"], "is trained on: unknown language with a branch 'de'"),
    (["model.branches={layers: 1, languages: [en, de, sw]}"], "unknown language that is trained on 'sw'"),
    (["model.branches={layers: 1}", "model.frozen_layers=2"], "branches that do not change are one"),
    (["model.branches={layers: 1}", "model.adapter={kind: lora}"], "with an adapter the complete encoder is frozen"),
    (["robust={method: branch_mixture}"], "'branch_mixture' mixes branches, and there are none; give model.branches"),
    (["model.branches={layers: 1}", "model.backbone=TRAINED"], "has branches already (en, de); leave this out"),
    (["model.backbone=TRAINED", "train.tasks=[{task: cldr-topic, languages: [sw]}]"], "unknown language with a branch 'sw'"),
    (["train.distil={languages: {en: {model: TRAINED}}}"], "no teacher of 'de', which is trained on"),
    (["train.distil={languages: {sw: {model: TRAINED}}, teacher: TRAINED}"], "unknown language that is trained on 'sw'"),
    (["train.distil={languages: {en: {stage: x}}, teacher: TRAINED}"], "only a study has stages; give a model"),
    (["train.distil={languages: {en: {model: ENCODER}}, teacher: TRAINED}"], "holds no head 'cldr-topic'"),
    (["train.distil={teacher: TRAINED, weight: 0, labels: 0.5}"], "labels have the full loss"),
]


@pytest.mark.parametrize("changes, message", REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_branches_that_cannot_be_are_one_line(
    tmp_path: Path, data: Path, trained: Path, changes: list[str], message: str
) -> None:
    import yaml

    where = {"folder": str(tmp_path / "new"), "model": {"backbone": str(tmp_path / "encoder")}, "data": {"root": str(data)}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**RUN, **where}))
    named = [one.replace("TRAINED", str(trained)).replace("ENCODER", str(tmp_path / "encoder")) for one in changes]
    done = CliRunner().invoke(main, ["train", str(tmp_path / "run.yaml"), *named, "--dry-run"])
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert not (tmp_path / "new").exists()


def test_branches_of_kinds_whose_layers_are_no_list_are_refused(tmp_path: Path) -> None:
    from xdist.resolve.branching import check_branches
    from xdist.resolve.encoder import read_encoder

    for kind in ("albert", "xlm"):
        folder = str(tiny_kind(tmp_path / kind, kind))
        encoder = read_encoder(folder)
        assert encoder
        section = ModelSection.model_validate({"backbone": folder, "branches": {"layers": 1, "languages": ["en"]}})
        with pytest.raises(UserError, match=f"top layers of encoders of type '{kind}' are run alone"):
            check_branches(section, encoder, [])
