"""A plan as text."""

from pathlib import Path

from xdist.estimate.hours import spoken_time
from xdist.estimate.memory import state_on_disk
from xdist.estimate.recommend import GB, usable
from xdist.study.planning import TrainingEstimate

WHERE = {"none": "", "optimizer": ", optimizer in main memory", "all": ", optimizer and weights in main memory"}


def format_plan(plan: TrainingEstimate, written: Path | None) -> str:
    """What the user reads; ends with how to train so."""
    setting, shape, machine = plan.setting, plan.shape, plan.machine
    share = plan.memory.total / usable(plan.capacity)
    gpus = f"{machine.ranks} GPUs" if machine.ranks > 1 else "1 GPU"
    lines = [
        f"{shape.name}: {shape.parameters / 1e6:,.0f} M parameters, of them {shape.embedding / shape.parameters:.0%} embedding",
        f"on {gpus} of {plan.capacity / GB:.0f} GB: ZeRO {setting.stage}{WHERE[setting.offload]}, "
        f"{plan.precision}, gradient checkpointing {'on' if setting.checkpointing else 'off'}, "
        f"{plan.micro_batch:,} tokens per micro-batch, {setting.micro_batches} per step",
        "",
        f"memory of a GPU   {plan.memory.total / GB:8.2f} GB, {share:.0%} of what can be used, when the {plan.worst}",
        *(f"  {name:15} {size / GB:8.2f}" for name, size in plan.most.items() if size),
        "  (of each the most at any moment: together more than there is at once)",
    ]
    if setting.adapted is not None:
        of_all = f"{setting.adapted / shape.parameters:.1%} of the encoder's, which is frozen"
        lines.insert(2, f"the adapter's {setting.adapted / 1e6:,.2f} M parameters are trained, {of_all}")
    elif setting.trained_rows is not None:
        lines.insert(2, f"of {shape.pieces:,} rows of the embedding {setting.trained_rows:,} are trained")
    if setting.frozen_layers:
        lines.insert(2, f"of {shape.layers} layers the lowest {setting.frozen_layers} and all embeddings stay as they are")
    if setting.anchor:
        lines.append("  (parameters: with the anchor of parallel text, a frozen copy of the encoder)")
    if setting.teacher:
        lines.append(f"  (before: a teacher of {setting.teacher / 1e6:,.0f} M parameters, computed once for every row)")
    parts = {"offloaded": "offloaded", "copied": "copies of states while they are saved, unless runtime.save is sync"}
    if main := [f"{size / GB:.2f} GB {parts[name]}" for name, size in plan.main_memory.items() if size]:
        lines.append(f"main memory       {sum(plan.main_memory.values()) / GB:8.2f} GB of a machine ({'; '.join(main)})")
    lines += [f"a checkpoint      {state_on_disk(shape, setting) / GB:8.2f} GB", ""]
    if one := plan.forecast:
        sent = f" and {one.traffic:.3g} s of traffic" if machine.interconnect else "; traffic is not counted (--interconnect)"
        if setting.offload != "none":
            sent += "; neither are main memory and what runs there"
        slower = f"{one.compute:.3g} s of products"
        if one.launches > one.compute:
            slower = f"{one.launches:.3g} s to start its kernels, more than the {one.compute:.3g} s of products"
        lines.append(f"speed             {one.tokens_per_second:,.0f} tokens/s over all GPUs: a step takes {slower}{sent}")
        if plan.hours is not None:
            most = "at most " if plan.length_is_bound else ""
            lines.append(
                f"{plan.steps:,} steps       {most}{spoken_time(plan.hours)}, {spoken_time(plan.gpu_hours or 0)} of GPUs, "
                "without evaluation"
            )
    else:
        lines.append("speed             not known: give --peak TFLOPS or --measure")
    name = str(written) if written else "FILE (--write FILE)"
    lines += [f"unusual setting   {line}" for line in plan.unusual]
    lines += ["", f"train so with     runtime.deepspeed={name} {' '.join(plan.overrides)}"]
    return "\n".join(lines)
