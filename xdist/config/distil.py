"""The section `train.distil`: a teacher's predictions beside the labels, in classification.

loss = (1 − weight) · cross-entropy of the label + weight · T² · KL(softmax(teacher / T) || softmax(student / T))
"""

from pydantic import Field, model_validator

from xdist.config.fitting import PathText
from xdist.config.section import Section


class Distil(Section):
    teacher: PathText | None = Field(
        None, description="a model folder with the heads of the tasks, and the tokenizer of the student"
    )
    stage: str | None = Field(
        None,
        exclude_if=lambda stage: stage is None,
        description="in a study, instead: an earlier stage, whose model teaches",
    )
    weight: float = Field(0.5, ge=0, le=1, description="of the teacher; 0: it is not asked, 1: labels are not")
    temperature: float = Field(2.0, gt=0, le=1000, description="by which both sides' logits are divided")

    @model_validator(mode="after")
    def _one_teacher(self) -> "Distil":
        if (self.teacher is None) == (self.stage is None):
            raise ValueError("give either a teacher or, in a study, a stage")
        return self
