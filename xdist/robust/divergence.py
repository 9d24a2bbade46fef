"""Divergences between predictions, summed over all distributions of a batch; arguments are log-probabilities of one shape."""

from torch import Tensor


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) = sum p (log p - log q)."""
    return (p.exp() * (p - q)).sum()


def symmetric_kl(p: Tensor, q: Tensor, stop_gradient: bool = False) -> Tensor:
    """KL(p || q) + KL(q || p). With `stop_gradient` the first argument of each is taken as given (xTune, arXiv 2106.08226)."""
    return kl(p.detach(), q) + kl(q.detach(), p) if stop_gradient else kl(p, q) + kl(q, p)
