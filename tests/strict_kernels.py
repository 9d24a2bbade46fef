"""The two kernels that packed attention calls on a GPU: their signatures and what they demand, computed plainly on a CPU."""

import torch
from torch import Tensor

# What the kernels ask of queries, keys and values; computed in fp32 the results can be held against the padded model's.
HALF = (torch.bfloat16, torch.float16)


class Kernels:
    """`dtypes` are those that are taken; `calls` counts."""

    def __init__(self, dtypes: tuple[torch.dtype, ...] = HALF) -> None:
        self.dtypes, self.calls, self.windows = dtypes, 0, set[tuple[int, int]]()

    def varlen_attn(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        cu_seq_q: Tensor,
        cu_seq_k: Tensor | None,
        max_q: int,
        max_k: int,
        *,
        return_aux: object = None,
        scale: float | None = None,
        window_size: tuple[int, int] = (-1, -1),
        enable_gqa: bool = False,
        seqused_k: Tensor | None = None,
        block_table: Tensor | None = None,
        num_splits: int | None = None,
    ) -> Tensor:
        """PyTorch's, which has no dropout and takes groups of heads only when it gets them as an argument."""
        assert enable_gqa or query.shape[1] == key.shape[1]
        assert return_aux is seqused_k is block_table is num_splits is None
        assert cu_seq_k is not None
        return self._attention(query, key, value, (cu_seq_q, cu_seq_k), (max_q, max_k), scale, window_size)

    def flash_attn_varlen_func(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        cu_seqlens_q: Tensor,
        cu_seqlens_k: Tensor,
        max_seqlen_q: int,
        max_seqlen_k: int,
        dropout_p: float = 0.0,
        softmax_scale: float | None = None,
        causal: bool = False,
        window_size: tuple[int, int] = (-1, -1),
        softcap: float = 0.0,
        alibi_slopes: Tensor | None = None,
        deterministic: bool = False,
        return_attn_probs: bool = False,
        block_table: Tensor | None = None,
    ) -> Tensor:
        """flash_attn's (2.8)."""
        assert (dropout_p, causal, softcap, return_attn_probs) == (0.0, False, 0.0, False)
        assert deterministic == torch.are_deterministic_algorithms_enabled()
        bounds, longest = (cu_seqlens_q, cu_seqlens_k), (max_seqlen_q, max_seqlen_k)
        return self._attention(q, k, v, bounds, longest, softmax_scale, window_size)

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bounds: tuple[Tensor, Tensor],
        longest: tuple[int, int],
        scale: float | None,
        window: tuple[int, int],
    ) -> Tensor:
        for states in (query, key, value):
            assert states.dtype in self.dtypes
            assert (states.dim(), states.stride(-1)) == (3, 1)
            assert states.shape[-1] % 8 == 0
        assert query.shape[1] % key.shape[1] == 0
        assert key.shape == value.shape
        for ends, most in zip(bounds, longest, strict=True):
            assert (ends.dtype, int(ends[0]), int(ends[-1])) == (torch.int32, 0, len(query))
            assert ends.is_contiguous()
            assert isinstance(most, int)
            assert int(ends.diff().max()) <= most
        self.calls += 1
        self.windows.add(window)
        groups = query.shape[1] // key.shape[1]
        found = []
        for begin, end in zip(bounds[0][:-1].tolist(), bounds[0][1:].tolist(), strict=True):
            one, keys, values = (states[begin:end].transpose(0, 1).float() for states in (query, key, value))
            keys, values = keys.repeat_interleave(groups, 0), values.repeat_interleave(groups, 0)
            scores = one @ keys.transpose(1, 2) * (query.shape[-1] ** -0.5 if scale is None else scale)
            apart = torch.arange(end - begin) - torch.arange(end - begin)[:, None]
            left, right = (far if far >= 0 else end - begin for far in window)
            scores = scores.masked_fill((apart < -left) | (apart > right), -torch.inf)
            found.append((scores.softmax(-1) @ values).transpose(0, 1).to(query.dtype))
        return torch.cat(found)
