"""Robust training of one row by the textbook: no batches, engine, chain, balls or views; only the row's random numbers are
xdist's, since what is compared is what is made of them. And the descriptions of the methods that are compared with it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from xdist.robust.noise import gaussian, uniform
from xdist.tasks.batch import Batch

# Each against a loop written out in plain PyTorch. Dropout is off, so forwards of one input are one.
EXACT = {
    "adversarial": "{method: adversarial, radius: 0.3, steps: 2}",
    "linf": "{method: adversarial, radius: 0.2, steps: 2, norm: linf, ball: token, clean: 0.25}",
    # Near the clean input the divergence's gradient is a difference of nearly equal numbers: a wide ball keeps its digits.
    "kl": "{method: adversarial, radius: 2.0, steps: 2, loss: kl, random_start: true}",
    "free": "{method: free, radius: 0.3, steps: 3}",
    "random": "{method: random, radius: 0.3, draws: 2, place: embedding, distribution: gaussian}",
    "last": "{method: random, radius: 0.3, draws: 3, place: last, norm: linf, ball: token, perturb_special: true}",
    "r3f": "{method: consistency, weight: 2, noise: gaussian, scale: 0.05}",
    "smart": "[{method: adversarial, radius: 0.3}, {method: consistency, weight: 3, clean: 0.5, stop_gradient: true}]",
}
# What puts rows into other words; %s: the folder that `word_lists` writes.
REWRITING = {
    "substitution": "{method: substitution, synonyms: %s/synonyms.json}",
    "code_switch": "{method: code_switch, dictionaries: %s, languages: [de], probability: 0.8}",
    "subword": "{method: subword, probability: 0.8}",
}


def word_lists(folder: Path) -> Path:
    """Synonyms and a dictionary of the small benchmark's words."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "synonyms.json").write_text(
        '{"old": ["ancient", "aged"], "new": ["recent"], "great": ["large", "grand"], "the": []}'
    )
    (folder / "en-de.txt").write_text("old alt\nnew neu\ngreat gross\nthe der\nthe das\n")
    return folder


class PlainRow:
    def __init__(self, model: Any, head: str, row: dict[str, Any], row_id: int, special: Tensor, seed: int) -> None:
        self.model, self.head, self.seed = model, model.heads[head], seed
        self.ids, self.label = torch.tensor(row["tokens"])[None].long(), torch.tensor([int(row["label"])])
        self.free = (~torch.isin(self.ids[0], special))[:, None].float()
        self.batch = Batch("head", self.ids[0], torch.tensor([self.ids.shape[1]]), torch.tensor([0]), torch.tensor([row_id]))
        self.sites = {"input": model.encoder.get_input_embeddings(), "embedding": model.encoder.embeddings}

    def logits(self, delta: Tensor | None = None, place: str = "input") -> Tensor:
        delta = torch.zeros(1) if delta is None else delta
        handle = None
        if place != "last":
            handle = self.sites[place].register_forward_hook(lambda _m, _i, out: out + delta)
        hidden = self.model.encoder(input_ids=self.ids, attention_mask=torch.ones_like(self.ids)).last_hidden_state
        if handle:
            handle.remove()
        return self.head((hidden + delta if place == "last" else hidden)[:, 0])

    def states(self, place: str) -> Tensor:
        if place == "last":
            return self.model.encoder(input_ids=self.ids).last_hidden_state[0].detach()
        return self.sites[place](self.ids)[0].detach()

    def radius(self, options: Any, states: Tensor) -> Tensor:
        """(n, 1) absolute radius of the ball of each token."""
        inside = states * self.free
        lengths = inside.norm(dim=-1, keepdim=True) if options.ball == "token" else inside.norm().expand(len(states), 1)
        count = torch.ones_like(self.free) if options.ball == "token" else self.free.sum()
        return options.radius * (lengths / (count * states.shape[1]).sqrt() if options.norm == "linf" else lengths)

    def drawn(self, options: Any, states: Tensor, draw: int) -> Tensor:
        radius, width = self.radius(options, states), states.shape[1]
        if getattr(options, "distribution", "uniform") == "gaussian":  # here per example and L2 only
            return gaussian(self.batch, width, self.seed, 0, 8 * draw) * self.free * radius / (self.free.sum() * width).sqrt()
        if options.norm == "linf":
            return (2 * uniform(self.batch, width, self.seed, 0, 16 * draw) - 1) * self.free * radius
        direction = gaussian(self.batch, width, self.seed, 0, 8 * draw) * self.free
        share = uniform(self.batch, 1, self.seed, 0, 16 * draw + 9)[0] ** (1 / (self.free.sum() * width))
        return direction / direction.norm() * radius * share

    def climbed(self, options: Any, delta: Tensor, slope: Tensor, radius: Tensor) -> Tensor:
        slope = slope * self.free
        if options.norm == "linf":
            delta = delta + options.step_size * radius / options.steps * slope.sign()
            return torch.maximum(torch.minimum(delta, radius), -radius)
        delta = delta + options.step_size * radius / options.steps * slope / slope.norm()
        return delta * min(1.0, float(radius[0] / delta.norm()))

    def losses(self, methods: Any) -> list[Tensor]:
        """The weighted losses whose gradients make the update."""
        first, *rest = methods
        if getattr(first, "perturb_special", False):
            self.free = torch.ones_like(self.free)
        if first.method == "consistency":
            noise = gaussian(self.batch, self.model.width, self.seed, 0, 0) * first.scale * self.free
            return [self._consistent(first, self.logits(noise))]
        states = self.states(getattr(first, "place", "input"))
        if first.method == "random":
            noises = [self.drawn(first, states, draw) for draw in range(first.draws)]
            return [cross_entropy(self.logits(noise, first.place), self.label) / first.draws for noise in noises]
        radius = self.radius(first, states)
        delta = self.drawn(first, states, 0) if first.random_start else torch.zeros_like(states)
        clean, trained = self.logits().detach().softmax(-1), []
        for _ in range(first.steps):
            delta = delta.detach().requires_grad_()
            logits = self.logits(delta)
            loss = cross_entropy(logits, self.label)
            trained.append(loss / first.steps)
            if getattr(first, "loss", "task") == "kl":
                loss = (clean * (clean.log() - logits.log_softmax(-1))).sum()
            (slope,) = torch.autograd.grad(loss, delta, retain_graph=True)
            delta = self.climbed(first, delta.detach(), slope, radius)
        if first.method == "free":
            return trained
        if rest:
            return [self._consistent(rest[0], self.logits(delta))]
        clean_loss = [first.clean * cross_entropy(self.logits(), self.label)] if first.clean else []
        return [*clean_loss, (1 - first.clean) * cross_entropy(self.logits(delta), self.label)]

    def _consistent(self, options: Any, moved: Tensor) -> Tensor:
        clean = self.logits()
        p, q = clean.softmax(-1), moved.softmax(-1)
        if options.stop_gradient:
            apart = (p.detach() * (p.detach().log() - q.log()) + q.detach() * (q.detach().log() - p.log())).sum()
        else:
            apart = ((p - q) * (p.log() - q.log())).sum()
        task = options.clean * cross_entropy(clean, self.label) + (1 - options.clean) * cross_entropy(moved, self.label)
        return task + options.weight * apart
