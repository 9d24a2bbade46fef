"""Which kernel attention without padding runs on here."""

from xdist.launch.doctor.finding import Finding

CHECK = "attention"
BUCKETS = "sequences of similar length are padded in buckets"


def check() -> list[Finding]:
    import torch

    from xdist.model import packed

    half = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
    return judge(torch.cuda.is_available(), half, packed.has_flash_attn())


def judge(gpu: bool, half: bool, flash: bool) -> list[Finding]:
    """`half`: whether the GPU runs the kernels that know the bounds of sequences; `flash`: whether flash_attn is installed."""
    if not gpu:
        return [Finding(CHECK, "good", f"on CPUs {BUCKETS}")]
    if not half:
        return [Finding(CHECK, "good", f"on a GPU older than Ampere {BUCKETS}")]
    if flash:
        return [Finding(CHECK, "good", "flash_attn, in bf16 and fp16, with and without dropout in attention")]
    says = f"PyTorch's varlen_attn, in bf16 and fp16; with dropout in attention {BUCKETS}, which is slower"
    return [Finding(CHECK, "note", says, "pip install 'xdist-xtreme[gpu]' for flash_attn, or model.attention_dropout=0")]
