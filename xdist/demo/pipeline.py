"""All steps with the embedded default: encoder, benchmark, intermediate training, robust target, 50 languages, a page."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from xdist.config import Run, load_run
from xdist.demo import cldr
from xdist.demo.encoder import EncoderSource, build_encoder
from xdist.files import read_json, shipped
from xdist.launch import local
from xdist.launch.prepared import launch
from xdist.report import ReportPaths, write_report
from xdist.resolve.resolved import resolve
from xdist.run.folder import RunFolder
from xdist.run.progress import Progress


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One run of the demo: its description, and what of it this demo sets otherwise."""

    description: Path
    overrides: tuple[str, ...]
    run: Run


@dataclass(frozen=True, slots=True)
class Demo:
    folder: Path
    intermediate: DemoRun
    target: DemoRun

    @property
    def stages(self) -> tuple[DemoRun, DemoRun]:
        return self.intermediate, self.target

    @property
    def report(self) -> Path:
        return self.folder / f"report-{self.target.run.folder.name.removeprefix('target-')}"

    def done(self) -> bool:
        return (self.report / "report.html").exists() and all(
            RunFolder(stage.run.folder).state == "finished" for stage in self.stages
        )


def plan(
    folder: Path, intermediate: Literal["multilingual", "english"], robust: Literal["adversarial", "none"], ranks: int
) -> Demo:
    """The two runs of the demo below `folder`; each variant has its own folders, so variants can be compared."""
    first = folder / f"intermediate-{intermediate}"
    common = (
        f"data.root={folder / 'benchmark'}",
        f"data.cache={folder / 'prepared'}",
        f"runtime.ranks={ranks}",
    )
    english = ("train.tasks.0.languages=[en]",) if intermediate == "english" else ()
    return Demo(
        folder,
        _stage("intermediate", (f"folder={first}", f"model.backbone={folder / 'encoder'}", *common, *english)),
        _stage(
            "target",
            (
                f"folder={folder / f'target-{intermediate}-{robust}'}",
                f"model.backbone={first / 'model'}",
                *common,
                f"robust.method={robust}",
            ),
        ),
    )


def _stage(name: str, overrides: tuple[str, ...]) -> DemoRun:
    description = shipped("jobs") / "runs" / "demo" / f"{name}.yaml"
    return DemoRun(description, overrides, load_run(description, overrides))


def run(demo: Demo) -> ReportPaths | int:
    """Everything that is missing yet; the report's files, or the exit code of a run that did not finish."""
    began = time.perf_counter()
    for stage in demo.stages:
        RunFolder(stage.run.folder).check(stage.run)
    summary, source = materials(demo.folder)
    for stage in demo.stages:
        if RunFolder(stage.run.folder).state != "finished":
            code = launch("train", resolve(stage.run, "train"), stage.description, stage.overrides)
            if code != local.FINISHED:
                return code
    notes = [
        f"Encoder: {source.description}.",
        f"Benchmark: names from Unicode CLDR {summary.cldr_version}. No concept of a test set was seen in training in any "
        "language; the sentences around them are patterns, so scores say what transfers of names, not of language.",
        *summary.notes(),
        f"Made on this machine in {time.perf_counter() - began:.0f} s.",
    ]
    folders = [stage.run.folder for stage in demo.stages]
    return write_report(folders, demo.report, notes, title="xdist demo: fifty languages, one small encoder")


def materials(folder: Path) -> tuple[cldr.Summary, EncoderSource]:
    """The benchmark and the encoder below `folder`, made where they are missing yet."""
    return _benchmark(folder / "benchmark"), _encoder(folder)


def _benchmark(folder: Path) -> cldr.Summary:
    if (folder / cldr.MANIFEST).exists():
        return TypeAdapter(cldr.Summary).validate_python(read_json(folder / cldr.MANIFEST))
    progress = Progress("generate benchmark", 1)
    try:
        summary = cldr.generate(folder)
        progress.advance()
        return summary
    finally:
        progress.close()


def _encoder(folder: Path) -> EncoderSource:
    progress = Progress("decode encoder", 100)

    def report(what: str, share: float) -> None:
        progress.note(what)
        progress.advance(100 * share - progress.done)

    try:
        return build_encoder(folder / "encoder", report, texts=_texts(folder / "benchmark"))
    finally:
        progress.close()


def _texts(folder: Path) -> list[str]:
    """What the vocabulary of a random encoder is trained on, where there is no real one."""
    return [path.read_text(encoding="utf-8").replace("\t", " ") for path in sorted(folder.glob("cldr-topic/train-*.tsv"))]
