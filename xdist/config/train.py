"""Section `train` of a run: tasks, length, mixture, schedule and rates."""

from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from xdist.config.distil import Distil
from xdist.config.mlm import Mlm
from xdist.config.parallel import Parallel
from xdist.config.reader import KeyPath
from xdist.config.section import LARGE, Section


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
