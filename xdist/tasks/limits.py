"""What training and the planning of its memory must agree on; apart from the code on tensors, as planning needs no torch."""

LOGITS = 1 << 27  # over all pieces, that exist at once: 512 MB
