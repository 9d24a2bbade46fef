"""Everything besides training: the head of a language model, evaluation, search, checkpoints, export, offload."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from device.child import Check
from device.goldens import FEW
from device.setup import Setup
from device.workload import TESTED, assembled, built, rows_for, run_of, set_dropout, timed


def checks(setup: Setup) -> list[tuple[str, Check]]:
    return [
        ("MLM head", partial(_mlm_head, setup)),
        ("evaluation", partial(_evaluation, setup)),
        ("search", partial(_search, setup)),
        ("checkpoint and export", partial(_saving, setup)),
        *([] if setup.tiny else [("offload ZeRO-3", partial(_offload, setup))]),
    ]


def _mlm_head(setup: Setup) -> Mapping[str, Any]:
    from mlm_head import Side, random_batch
    from torch.nn.functional import cross_entropy

    from xdist.model.model import Model
    from xdist.tasks.batch import View
    from xdist.tasks.catalog import task
    from xdist.tasks.family import family_of

    run, family = run_of(setup, "base", 1), family_of(task("mlm"))
    dtype = torch.bfloat16 if setup.device.type == "cuda" else torch.float32
    model = Model(built(setup.device, run.model, None, dtype), {"mlm": family}, 1).to(setup.device)
    set_dropout(model, 0.0)
    pieces = model.encoder.config.vocab_size
    batch = random_batch(64 if setup.tiny else 8192, 32 if setup.tiny else 256, pieces).to(setup.device)

    def masked(made: Model) -> torch.Tensor:
        (outputs,) = made(View(batch))
        return family.loss(outputs, batch)

    def everywhere(made: Model) -> torch.Tensor:
        labels = torch.full_like(batch.tokens, -100)
        labels[batch.targets["masked"]] = batch.targets["label"]
        return cross_entropy(made.heads["mlm"](made.hidden(batch)).float(), labels, ignore_index=-100, reduction="sum")

    own, every = (Side(model, way, update=False) for way in (masked, everywhere))
    for number in range(2 if setup.tiny else 4):
        for side in (own, every):
            side.once(setup.device, count=number > 0)
    found = {"masked_ms": round(1000 * own.best, 2), "everywhere_ms": round(1000 * every.best, 2)}
    if own.peak:
        found["memory_ratio"] = round(every.peak / own.peak, 2)
    return {"ok": abs(own.value - every.value) <= 1e-2 * abs(every.value), **found, "loss": [own.value, every.value]}


def _evaluation(setup: Setup) -> Mapping[str, Any]:
    """Predictions of base in bf16 for a complete set; tokens a second from rows on the disk to predictions."""
    from resolved_of import prepared_of, scored_of

    from xdist.data.tokenizer import load_tokenizer
    from xdist.evaluation.predicting import predict_rows
    from xdist.evaluation.queue import batch_queue, budget_of, rank_share
    from xdist.model.model import Model
    from xdist.tasks.family import family_of

    setup.join()
    run = run_of(setup, "base", 1)
    tokenizer, (subset,) = load_tokenizer(run.model.backbone), scored_of(run)
    preparation = prepared_of(run, tokenizer)
    preparation.make_missing()
    sets = list(preparation.shards([subset]))
    family = family_of(subset.task)
    dtype = torch.bfloat16 if setup.device.type == "cuda" else torch.float32
    model = Model(built(setup.device, run.model, tokenizer, dtype), {"pawsx": family}, 1).to(setup.device).eval()
    work = rank_share(batch_queue(sets, budget_of(run.runtime, setup.device.type), model.packed), 0, 1)
    predict_rows(model, family, [subset], sets, 1, work[:1])
    setup.wait()
    began = time.perf_counter()
    found = predict_rows(model, family, [subset], sets, 1, work)
    setup.wait()
    seconds = time.perf_counter() - began
    tokens = int(sum(len(sets[0].row(row)["tokens"]) for row in range(len(sets[0]))))
    wanted = 20 if setup.tiny else TESTED
    return {"ok": len(found) == wanted, "rows": len(found), "tokens_per_second": round(tokens / seconds)}


def _search(setup: Setup) -> Mapping[str, Any]:
    """The hundred nearest of many candidates, and whether they are those that fp64 finds."""
    from xdist.evaluation.search import search_candidates

    setup.join()
    queries, candidates, width = (8, 500, 64) if setup.tiny else (4096, 200_000, 768)
    generator = torch.Generator().manual_seed(0)
    asked = torch.nn.functional.normalize(torch.randn(queries, width, generator=generator), dim=1)
    pool = torch.nn.functional.normalize(torch.randn(candidates, width, generator=generator), dim=1)
    asked, pool = asked.to(setup.device), pool.to(setup.device)
    numbers = torch.arange(candidates, device=setup.device)
    search_candidates(asked[:8], pool[:500], numbers[:500], 100)
    setup.wait()
    began = time.perf_counter()
    hits = search_candidates(asked, pool, numbers, 100)
    setup.wait()
    seconds = time.perf_counter() - began
    exact = (asked[:8].double() @ pool.double().T).topk(100).values
    difference = float((hits.scores[:8].double() - exact).abs().max())
    return {"ok": difference < 1e-5, "largest": difference, "queries_per_second": round(queries / seconds)}


def _saving(setup: Setup) -> Mapping[str, Any]:
    """Seconds to save and load a checkpoint of base at ZeRO-2, the model folder, and an export; the loss continues as it
    was."""
    from xdist.checkpoint import store
    from xdist.data.tokenizer import load_tokenizer
    from xdist.export.hugging_face import prepare_export
    from xdist.export.weights import of_model
    from xdist.model.folder import save_model

    folder, found = setup.fresh("saved"), {}
    run = run_of(setup, "base", rows_for(8_000, setup))
    (folder / "checkpoints").mkdir(parents=True)

    def clocked(name: str, work: Any) -> Any:
        setup.wait()
        began = time.perf_counter()
        result = work()
        setup.wait()
        found[f"{name}_s"] = round(time.perf_counter() - began, 2)
        return result

    with assembled(setup, run) as (training, _):
        timed(setup, training.step, 1, 0)
        engine = training.engine
        problem = clocked("save", lambda: store.save_checkpoint(folder / "checkpoints", engine, 1, 2, 2, {"step": 1}))
        assert not problem, problem
        gigabytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9
        wanted = training.step(1).means()["train/loss"]
        tag = clocked("verify", lambda: store.find_checkpoint(folder / "checkpoints"))
        assert tag
        state = clocked("gather", engine.state)
        tokenizer = load_tokenizer(run.model.backbone)
        clocked("model_folder", lambda: save_model(folder / "model", engine.module, state, tokenizer))
    with assembled(setup, run) as (training, _):
        clocked("load", lambda: store.load_checkpoint(tag, training.engine, 2))
        loss = training.step(1).means()["train/loss"]
    weights = of_model(folder / "model")
    clocked("export", lambda: prepare_export(weights, str(folder / "model"), None).write(folder / "exported", "", ()))
    return {"ok": abs(loss - wanted) < 1e-3, "checkpoint_gb": round(gigabytes, 3), **found, "loss": [loss, wanted]}


def _offload(setup: Setup) -> Mapping[str, Any]:
    """A few steps with states and weights in main memory; the first time DeepSpeed's optimizer is compiled."""
    from distributed import cases

    setup.join()
    expected = setup.golden["courses"]["plain"]["loss"][:FEW]
    root = Path(__file__).resolve().parents[2]
    options = [f"runtime.deepspeed={root}/ds_configs/zero3_offload.json"]
    found = cases.losses(str(setup.small_run), options, FEW)["loss"]
    largest = max(abs(one - other) for one, other in zip(found, expected, strict=True))
    return {"ok": largest <= 1e-3, "largest": largest}
