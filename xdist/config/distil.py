"""The section `train.distil`: the predictions of a teacher, or of one for each language, in addition to the labels of
classification.

loss = labels · cross-entropy of the label + weight · T² · KL(softmax(teacher / T) || softmax(student / T))
"""

from pydantic import Field, model_validator

from xdist.config.fitting import PathText
from xdist.config.section import Section


class LanguageTeacher(Section):
    """The teacher of the rows of one language."""

    model: PathText | None = Field(
        None, description="a model folder with the heads of the tasks, and the tokenizer of the student"
    )
    stage: str | None = Field(None, description="in a study, instead: an earlier stage, whose model teaches")

    @model_validator(mode="after")
    def _one_place(self) -> "LanguageTeacher":
        if (self.model is None) == (self.stage is None):
            raise ValueError("give either a model or, in a study, a stage")
        return self


class Distil(Section):
    teacher: PathText | None = Field(
        None, description="a model folder with the heads of the tasks, and the tokenizer of the student"
    )
    stage: str | None = Field(
        None,
        exclude_if=lambda stage: stage is None,
        description="in a study, instead: an earlier stage, whose model teaches",
    )
    languages: dict[str, LanguageTeacher] = Field(
        {},
        exclude_if=lambda languages: not languages,
        description="by language, the teacher of its rows; those of other languages have `teacher` or `stage`",
    )
    weight: float = Field(0.5, ge=0, le=1, description="of the teacher; 0: the teacher is not used, 1: the labels are not used")
    labels: float | None = Field(
        None,
        ge=0,
        le=1,
        exclude_if=lambda labels: labels is None,
        description="weight of the labels; null: 1 - weight, where 1 adds the teacher to the full loss of the labels",
    )
    temperature: float = Field(2.0, gt=0, le=1000, description="by which both sides' logits are divided")

    @model_validator(mode="after")
    def _one_teacher(self) -> "Distil":
        if (self.teacher is None) == (self.stage is None) and not (self.languages and self.teacher is None):
            raise ValueError("give either a teacher or, in a study, a stage")
        if not self.weight and self.labels not in (None, 1.0):
            raise ValueError("labels: without a teacher (weight: 0) labels have the full loss; remove it")
        return self

    @property
    def of_labels(self) -> float:
        """The weight of the labels."""
        return 1 - self.weight if self.labels is None else self.labels
