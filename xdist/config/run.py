"""One run: one training and/or evaluation, described by one YAML.

Sections `model`, `train`, `robust` and the seed say what is trained: they are the run's identity, with the fingerprints of the
data. `runtime` says how, and changes nothing but speed and memory; `evaluate` may grow after training: both may differ when a
started run resumes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from xdist import plugins
from xdist.config.adapter import Adapter
from xdist.config.align import Align
from xdist.config.branches import AtTest, Branches
from xdist.config.distil import Distil
from xdist.config.fitting import PathText
from xdist.config.loading import Reading, load
from xdist.config.merge import Merge
from xdist.config.method import METHODS, Method
from xdist.config.mlm import Mlm
from xdist.config.parallel import Parallel
from xdist.config.plugin import Plugin
from xdist.config.reader import KeyPath
from xdist.config.robust import Noise, NotHere, Off, Robust, in_order
from xdist.config.section import Section
from xdist.config.syntax import Syntax
from xdist.errors import UserError
from xdist.files import digest

IDENTITY = {"seed", "model", "train", "robust", "merge"}
AUTO = "auto"
LARGE = 10**12  # of what is counted: steps, examples, tokens
Seed = Annotated[int, Field(ge=-(10**18), le=10**18)]
LONGEST_NAME = 240  # folders and links are named by it
RECORD = "config.yaml"  # the name under which xdist itself writes a run down
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
AskedPrecision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]


class Model(Section):
    """The encoder: a hub id, a folder, or the `model/` folder of another run. Heads that fit are carried over: those of another
    run, and that of a model fine-tuned elsewhere."""

    backbone: PathText = Field(description="the encoder: a hub id, a folder, or the `model/` of another run")
    freeze_embeddings: bool = Field(False, description="leave the input embedding as it is")
    frozen_layers: int = Field(
        0,
        ge=0,
        le=1000,
        exclude_if=lambda layers: not layers,  # what a run is does not change with a key that it does not use
        description="freeze this many of the lowest layers, and all embeddings with them; 0: none; all: heads alone "
        "are trained",
    )
    vocabulary: Literal["active", "full"] = Field(
        "active",
        description="rows of the input embedding that are trained: those of the pieces in the training data, or all; the "
        "same result, but that weight decay also shrinks the rows that nothing uses where all are trained",
    )
    gradient_checkpointing: bool | Literal["auto"] = Field(
        "auto",
        description="compute layers again in the backward pass instead of keeping what is inside them; auto: where training "
        "would not fit the GPU's memory otherwise",
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="every dropout of the encoder and heads; null: the encoder's own"
    )
    attention_dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        exclude_if=lambda share: share is None,
        description="that inside attention alone; null: as `dropout` says, else the encoder's own. On a GPU any above 0 needs "
        "`flash_attn` (the extra `gpu`), or attention takes a slower way",
    )
    adapter: Adapter | None = Field(
        None,
        exclude_if=lambda adapter: adapter is None,
        description="train an adapter and heads instead of the encoder, which stays as it is, its embedding too",
    )
    branches: Branches | None = Field(
        None,
        exclude_if=lambda branches: branches is None,
        description="the top layers once for each language that is trained on, on shared lower layers",
    )
    syntax: Syntax | None = Field(
        None,
        exclude_if=lambda syntax: syntax is None,
        description="dependency trees in each layer's attention, with losses that teach to read them off",
    )
    labels: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        exclude_if=lambda labels: labels is None,  # what a run is does not change with a key that it does not use
        description="of a backbone whose head was fine-tuned elsewhere: the label of each of its outputs, in "
        "their order; null: as the id2label of its config.json says",
    )
    pretraining: PathText | None = Field(
        None,
        exclude_if=lambda name: name is None,
        description="what the encoder has read of each language, by which reports group languages: cc100, wikipedia, mmbert, "
        "glot500, a file of `code size` lines, or none (not known); null: from the backbone's configuration",
    )

    @model_validator(mode="after")
    def _frozen_once(self) -> "Model":
        if self.adapter is not None and self.frozen_layers:
            raise ValueError("with an adapter the complete encoder is frozen; remove frozen_layers")
        if self.adapter is not None and self.branches is not None:
            raise ValueError("with an adapter the complete encoder is frozen, so its branches would all be equal; remove one")
        if self.adapter is not None and self.syntax is not None:
            raise ValueError("with an adapter no tree is read; give syntax or adapter")
        if self.branches is not None and self.syntax is not None:
            raise ValueError("trees are read by layers that all languages share; give syntax or branches")
        return self

    @property
    def embeddings_frozen(self) -> bool:
        """Whether no row of the input embedding is trained."""
        return self.freeze_embeddings or self.frozen_layers > 0 or self.adapter is not None


# How the answer of a span is cut out of its context.
Answers = Literal["offsets", "official"]
# By which number examples of graded relevance are ranked.
Relevance = Literal["class", "expected"]
# How words that are given one by one (tagging) become the text that a tokenizer reads.
Joining = Literal["separate", "joined", "text", "official"]


class Data(Section):
    """Where the official files are, and where prepared token rows are kept."""

    root: Path = Field(description="folder of the official files; `xdist tasks` says which")
    cache: Path = Field(Path("runs/prepared"), description="folder of prepared token rows, shared by runs")
    max_length: int | None = Field(None, ge=8, le=1_000_000, description="tokens per sequence; null: each task's own")
    words: Joining = Field(
        "joined",
        description="how the words of a tagging task are encoded. joined: by single blanks, as running text; separate: each "
        "alone, as published figures often have it (otherwise for byte-level, Gemma and Llama tokenizers alone); text: with "
        "blanks where a treebank has them (SpaceAfter of .conllu files); official: as the public scripts of XTREME: separate, "
        "and the row ends as a first text does before a second one (</s></s> for XLM-R, so one piece less fits)",
    )
    tasks: Path | None = Field(None, description="a YAML of your own tasks, in addition to those of the catalog")
    block: Annotated[int, Field(ge=1, le=LARGE)] | Literal["auto"] = Field(
        1,
        exclude_if=lambda block: block == 1,  # what a run is does not change with a key that it does not use
        description="neighbouring rows that are drawn together, mixed with those of many other blocks; 1: each row is "
        "drawn for itself, from anywhere; auto: many of running text, so that of a large corpus less is read from the disk",
    )


class TrainTask(Section):
    """A task in some of its languages. `weight` is its share of the examples; null: by number of examples."""

    task: str = Field(description="a name of `xdist tasks`, or of your own task task")
    languages: tuple[str, ...] = Field(("en",), min_length=1, description="those whose training files are read")
    weight: float | None = Field(None, gt=0, le=1e9, description="its share of the examples; null: by number of examples")
    limit: int | None = Field(
        None, ge=1, le=LARGE, description="at most this many examples per language, the first of the file"
    )
    rows: int | None = Field(
        None,
        ge=0,
        le=LARGE,
        exclude_if=lambda rows: rows is None,  # what a run is does not change with a key that it does not use
        description="exactly this many examples per language, chosen at random by the run's seed from all classes; those of "
        "a smaller number are among those of a larger one; 0: nothing of this entry is trained on",
    )

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> "TrainTask":
        if self.rows is not None and self.limit is not None:
            raise ValueError("give either limit or rows")
        return self


class Select(Section):
    """Keep the model that is best on dev, evaluated every N steps and after the last; the first of equal ones."""

    every: int = Field(ge=1, le=LARGE, description="steps from one look to the next")
    by: Literal["score", "loss"] = Field("score", description="the task's official metric, or the mean loss")
    languages: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["all"] = Field(
        ("en",),
        description="whose dev sets; all: the mean over every language of the task, as in XGLUE's published figures, which "
        "is not zero-shot: scores.json says `selected_on`",
    )


class Phase(Section):
    """From a step on, other weights of some tasks, 0: the task rests; another mixture of languages, or another share of masked
    tokens."""

    at: float = Field(gt=0, le=LARGE, description="the step that it begins with; below 1: a share of all steps")
    weights: dict[str, Annotated[float, Field(ge=0, le=1e9)]] = Field(
        {}, description="by task, its share from then on; 0: it rests"
    )
    alpha: float | None = Field(None, ge=0, le=1, exclude_if=lambda alpha: alpha is None, description="null: as before")
    mask_rate: float | None = Field(None, gt=0, lt=1, exclude_if=lambda rate: rate is None, description="null: as before")

    @model_validator(mode="after")
    def _changes_something(self) -> "Phase":
        if not self.weights and self.alpha is None and self.mask_rate is None:
            raise ValueError("a phase changes something: give weights, alpha or mask_rate")
        return self


BelowOne = Annotated[float, Field(ge=0, lt=1)]


class Train(Section):
    """What is trained on, for how long, and at which rate."""

    tasks: tuple[TrainTask, ...] = Field(min_length=1, description="what is trained on")
    steps: int | None = Field(None, ge=1, le=LARGE, description="optimizer steps; give this or `epochs`")
    epochs: float | None = Field(None, gt=0, le=1e6, description="passes over the examples; give this or `steps`")
    batch_size: int = Field(32, ge=1, le=10_000_000, description="examples per step, over all ranks")
    negatives: int | None = Field(
        None,
        ge=2,
        le=1_000_000,
        description="candidate answers of a query, its own among them; null: each task's own",
    )
    parallel: Parallel = Field(
        Parallel(), exclude_if=lambda section: section == Parallel(), description="how parallel text is trained on"
    )
    mlm: Mlm = Field(
        Mlm(), exclude_if=lambda section: section == Mlm(), description="how masked language modelling is trained on"
    )
    distil: Distil | None = Field(
        None, exclude_if=lambda section: section is None, description="learn from a teacher in addition to the labels"
    )
    alpha: float = Field(1.0, ge=0, le=1, description="languages of a task are drawn in proportion to size ** alpha")
    task_alpha: float = Field(
        1.0, ge=0, le=1, description="tasks without a weight are drawn by size ** task_alpha: 1 proportional, 0 uniform"
    )
    cap: int | None = Field(
        None, ge=1, le=LARGE, description="of a task without a weight at most this many examples count in its size"
    )
    schedule: tuple[Phase, ...] = Field(
        (), description="other weights, languages or masks from later steps on; what is not named stays"
    )
    share: Literal["family", "task"] | None = Field(
        None, description="one head per family (and labels) or per task; null: as the catalog has it"
    )
    learning_rate: float = Field(2e-5, gt=0, le=1000, description="the highest, after warm-up; it falls linearly to 0")
    warmup: float = Field(0.0, ge=0, le=LARGE, description="steps of linear warm-up; below 1: a share of all steps")
    decay: Literal["linear", "cosine", "constant"] = Field(
        "linear", exclude_if=lambda decay: decay == "linear", description="how the rate falls to 0 after the warm-up, or not"
    )
    layer_decay: float | None = Field(
        None,
        gt=0,
        le=1,
        exclude_if=lambda decay: decay is None,
        description="the rate of each layer is that of the layer above it times this, and so down to the embeddings; the top "
        "layer and heads have the full rate; null: all have",
    )
    betas: tuple[BelowOne, BelowOne] = Field(
        (0.9, 0.999), exclude_if=lambda betas: betas == (0.9, 0.999), description="how slowly Adam's two moments follow"
    )
    mask_rate: float = Field(
        0.15,
        gt=0,
        lt=1,
        exclude_if=lambda rate: rate == 0.15,
        description="share of the tokens that a language model has to find",
    )
    weight_decay: float = Field(0.0, ge=0, le=1000, description="not applied to biases and layer norms")
    epsilon: float = Field(1e-8, gt=0, le=1, description="of AdamW")
    clip: float = Field(1.0, ge=0, le=1e9, description="largest gradient norm; 0: no clipping")
    select: Select | None = Field(None, description="null: the model after the last step")
    _places: tuple[int, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _length_once(self) -> "Train":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self

    @model_validator(mode="after")
    def _without_idle(self) -> "Train":
        """An entry of 0 rows is none, so the run is the same as without it, and a study does the two once."""
        self._places = tuple(number for number, entry in enumerate(self.tasks) if entry.rows != 0)
        if not self._places:
            raise ValueError("tasks: nothing is left to train on: every entry has rows: 0")
        self.__dict__["tasks"] = tuple(self.tasks[number] for number in self._places)  # frozen, once it is made
        return self

    def key_of(self, number: int) -> KeyPath:
        """The key of entry `number` of `tasks` as it was written."""
        return "tasks", self._places[number]

    @property
    def by_subset(self) -> list[tuple[int, TrainTask]]:
        """For each training subset, in order, the entry that names it and its number."""
        return [(number, entry) for number, entry in enumerate(self.tasks) for _ in entry.languages]


class Evaluate(Section):
    """What is scored, in which languages."""

    tasks: tuple[str, ...] = Field(min_length=1, description="what is scored")
    languages: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["all"] = Field(
        "all",
        description="those that are scored, in any code; all: every language whose files exist; or groups of what the encoder "
        "has read: group:unseen, group:low, group:mid, group:high, group:seen, group:tail (unseen and low), group:head (the "
        "others that were read)",
    )
    split: Literal["dev", "test"] = Field("test", description="which files are scored")
    layer: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="hidden layer of sentence vectors (Tatoeba, BUCC), 0: the embedding; null: each task's own",
    )
    answers: Answers = Field(
        "offsets",
        description="how answers of span QA are cut out of their context: offsets: at the characters of their pieces; "
        "official: at words, as the public recipes do (get_final_text), other texts of the same spans",
    )
    relevance: Relevance = Field(
        "class",
        description="by which number examples are ranked where labels are grades (metric ndcg): class: the label that the "
        "model likes best, as in published figures, with many ties; expected: the mean of the labels by their probabilities",
    )
    branches: AtTest = Field(
        "own",
        exclude_if=lambda how: how == "own",
        description="of a model with branches, what reads a language that has one: own: its branch; mixture: the mean of all, "
        "as languages without a branch are read anyway",
    )
    smoothing: Noise | None = Field(None, description="average the predictions over draws of noise; null: one clean forward")


KeepFinished = Literal["states", "weights", "model", "scores"]


class Runtime(Section):
    """How a run is executed. Nothing here changes its result beyond rounding."""

    ranks: int = Field(1, ge=1, le=1024, description="processes on this machine")
    deepspeed: PathText = Field(
        AUTO,
        description="a file of ds_configs/ (without .json) or a path to one; auto: below a billion parameters `zero1` in 16 "
        "bits and `zero0` in 32, above `zero3`, and it stays the same when the run resumes",
    )
    precision: AskedPrecision = Field(
        "auto",
        description="that the model computes in; tf32: weights of 32 bits, of which products read 19; auto: bf16 on a GPU that "
        "has it, fp16 on one that has tensor cores but not that, else fp32, and it stays the same when the run resumes",
    )
    deterministic: bool = Field(
        False, description="equal bits whenever a run is repeated on GPUs of one kind; slower. On CPUs they are equal anyway"
    )
    attention: Literal["packed", "padded"] = Field(
        "packed", description="packed: no padding, where the encoder is built like BERT; padded: transformers' own layout"
    )
    micro_batch_tokens: Annotated[int, Field(ge=16, le=LARGE)] | Literal["auto"] = Field(
        8192,
        description="tokens in one forward pass of one rank; with padded attention, padding is counted too; auto: as many as "
        "the GPU's memory holds, and it stays the same when the run resumes (8192 on a "
        "CPU); the loss is the same with any number",
    )
    rewriters: int = Field(
        0,
        ge=0,
        le=256,
        description="processes of each rank that put rows into other words, where a method of `robust` does; 0: a thread of "
        "the rank itself does. The rows are the same",
    )
    eval_batch_tokens: int | None = Field(
        None, ge=16, le=LARGE, description="the same in evaluation; null: what suits the device"
    )
    log_every: int = Field(10, ge=1, le=LARGE, description="steps between lines of metrics.jsonl")
    save_every: int = Field(200, ge=1, le=LARGE, description="steps between checkpoints")
    save_minutes: float | None = Field(
        None, gt=0, le=1e7, description="also save when so long has passed since the last checkpoint"
    )
    save: Literal["auto", "async", "sync"] = Field(
        "auto",
        description="async: states are copied to the main memory of the hosts and written while training continues; sync: "
        "training waits; auto: async where every host has 1.3 times the states of its ranks free, else sync",
    )
    max_minutes: float | None = Field(
        None, gt=0, le=1e7, description="save and leave, unfinished, so long after the training, or the evaluation, began"
    )
    bad_steps: int = Field(
        5, ge=1, le=LARGE, description="end after this many steps in a row whose loss or gradient is not finite"
    )
    keep: int = Field(2, ge=1, le=1_000_000, description="checkpoints kept")
    keep_finished: KeepFinished = Field(
        "states",
        description="what is kept of a finished and scored run, in addition to scores, predictions "
        "and logs: states: everything; "
        "weights: of the checkpoints the weights alone, for `xdist export --average`; model: no checkpoints; scores: not even "
        "the model",
    )
    sinks: tuple[str, ...] = Field(
        ("tensorboard",),
        description="where logged numbers and scores are shown, in addition to metrics.jsonl: "
        "`tensorboard`, by whose events `xdist "
        "status` shows the time left, or your own sink",
    )


class Run(Section):
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+/-]*$",
        max_length=LONGEST_NAME,
        description="what the run is called in tables and reports",
    )
    folder: Path = Field(description="the run folder, where all of it is kept")
    seed: Seed = Field(1, description="of heads, order of rows, dropout and noise")
    plugins: tuple[Plugin, ...] = Field(
        (),
        description="plugins with your own tasks, families, metrics, methods and sinks: files (*.py), installed "
        "distributions or modules; with a digest behind it (name@digest) one is refused when its code has changed",
    )
    model: Model
    data: Data
    train: Train | None = None
    robust: Robust = Field(Off(), description="one method or a list of them, in their order; {method: none}: plain training")
    merge: Merge | None = Field(
        None,
        exclude_if=lambda merge: merge is None,
        description="instead of training: `model.backbone` with weights of other models, made before the evaluation",
    )
    evaluate: Evaluate | None = None
    align: Align | None = Field(
        None, exclude_if=lambda align: align is None, description="with `evaluate`: languages mapped to English before"
    )
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _does_something(self) -> "Run":
        if self.train is None and self.evaluate is None:
            raise ValueError("a run trains or evaluates: give 'train', 'evaluate' or both")
        if self.train is not None and self.merge is not None:
            raise ValueError("a run trains or merges, not both: give 'train' or 'merge'")
        if self.align is not None and self.evaluate is None:
            raise ValueError("maps are for evaluation: give 'evaluate' as well as 'align'")
        return self

    @model_validator(mode="after")
    def _names_every_plugin(self) -> "Run":
        """Where a method comes from that the description does not name, as what a distribution offers, is named too, so that
        ranks have the same."""
        for method in self.methods:
            if isinstance(method, NotHere):
                continue
            try:
                entry = METHODS.plugin(method.name)
            except UserError as error:
                raise ValueError(f"robust: method '{method.name}' comes from {error}") from None
            if entry and plugins.digest_in(entry) not in self.plugin_digests:
                self.__dict__["plugins"] = (*self.plugins, entry)  # frozen once it is made, which it is not yet
        return self

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods of `robust` in their order; empty where training is plain."""
        return in_order(self.robust)

    @property
    def makes_model(self) -> bool:
        """Whether it makes a model in its folder: by training or by merging."""
        return self.train is not None or self.merge is not None

    @property
    def method_files(self) -> list[Path]:
        """The files that the methods of `robust` read."""
        return [path for method in self.methods for path in method.files()]

    def check_method_files(self) -> None:
        """Raises UserError for one that is missing."""
        for number, method in enumerate(self.robust if isinstance(self.robust, tuple) else (self.robust,)):
            try:
                method.check()
            except UserError as error:
                raise self.error(("robust", number) if isinstance(self.robust, tuple) else ("robust",), str(error)) from None

    @property
    def plugin_digests(self) -> list[str]:
        """Of the code of its plugins, independent of its path."""
        return [plugins.digest_in(entry) for entry in self.plugins]

    @property
    def identity(self) -> str:
        """16 digits that depend on what is trained, not on how, where or under which name."""
        # What an encoder has read groups the languages of reports, and changes nothing of what is trained.
        described = self.model_dump(mode="json", include=IDENTITY, exclude={"model": {"pretraining"}})
        return digest(described, self.plugin_digests, *([self.data.block] if self.data.block != 1 else []))

    def dump(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def given(self) -> dict[str, Any]:
        """What is not at its default."""
        return self.model_dump(mode="json", exclude_defaults=True)


def load_run(path: Path, overrides: Sequence[str] = ()) -> Run:
    """The run described at `path`, its plugins imported. Raises UserError with file, line and key of the first error."""
    return _read(path, overrides, Reading(earlier=path.name == RECORD))


def recorded_run(path: Path) -> Run:
    """The run of a folder's config.yaml, which others may have written: nothing that it names is imported, and a method that is
    not of this package has its options as they are written there. Raises UserError as `load_run` does, and for what is no file,
    such as a named pipe, which would keep its reader waiting."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is no file")
    return _read(path, (), Reading(earlier=True, imports=False))


def _read(path: Path, overrides: Sequence[str], reading: Reading) -> Run:
    run, source = load(Run, path, overrides, reading)
    run.stands_in(source)
    return run
