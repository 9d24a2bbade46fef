"""What a paper says beside its numbers: whom it cites, and an archive that its numbers can be made from again."""
