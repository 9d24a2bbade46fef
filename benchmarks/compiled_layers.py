"""Would torch.compile pay? What each layer does outside attention, compiled for any number of tokens, against eager mode.

    python benchmarks/compiled_layers.py        # the demo encoder's shape; --layers, --hidden, --tokens, --rounds

Forward and backward of one encoder over micro-batches without padding, each with other lengths, so other numbers of tokens:
what xdist feeds a layer. Attention changes its shapes with every micro-batch and stays as it is. The last line is JSON:
`ratio` of eager to compiled seconds (median over rounds, in turn), `compile_s` until the first compiled step is done, `graphs`.
"""

import argparse
import json
import statistics
import time

import torch
from torch._dynamo.utils import counters
from transformers import XLMRobertaConfig, XLMRobertaModel

from xdist.model import packed
from xdist.tasks.batch import Batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"layers": 12, "hidden": 384, "tokens": 2048, "rounds": 7}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    eager, compiled = (encoder(options.layers, options.hidden).to(device) for _ in range(2))
    for layer in compiled.encoder.layer:
        for part in (layer.attention.output, layer.intermediate, layer.output):
            part.compile(dynamic=True)

    began = time.perf_counter()
    step(compiled, lengths(options.tokens), device)
    compile_s = time.perf_counter() - began
    step(eager, lengths(options.tokens), device)
    ratios = []
    for _ in range(options.rounds):
        drawn = lengths(options.tokens)
        one, other = step(eager, drawn, device), step(compiled, drawn, device)
        ratios.append(one / other)
        print(f"{sum(drawn):>6} tokens   eager {one:.3f} s   compiled {other:.3f} s   {ratios[-1]:.2f}", flush=True)
    found = {"ratio": round(statistics.median(ratios), 3), "compile_s": round(compile_s, 1)}
    print(json.dumps({**found, "graphs": counters["stats"]["unique_graphs"]}))


def encoder(layers: int, hidden: int) -> XLMRobertaModel:
    config = XLMRobertaConfig(
        vocab_size=1000,
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=hidden // 32,
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
    )
    made = XLMRobertaModel(config, add_pooling_layer=False).train()
    packed.enable_packing(made)
    return made


def lengths(tokens: int) -> list[int]:
    """As pairs of PAWS-X are long, in `tokens` or a few less."""
    drawn = torch.randint(30, 85, (tokens // 30,)).cumsum(0)
    return drawn[drawn <= tokens].diff(prepend=torch.zeros(1, dtype=torch.long)).tolist()


def step(model: XLMRobertaModel, drawn: list[int], device: torch.device) -> float:
    """Seconds of a forward and a backward pass."""
    count = torch.arange(len(drawn))
    batch = Batch("none", torch.randint(4, 1000, (sum(drawn),)), torch.tensor(drawn), count, count, {}).to(device)
    given = packed.packed_inputs(model, batch)
    model.zero_grad(set_to_none=True)
    began = time.perf_counter()
    model(**given).last_hidden_state.square().mean().backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
