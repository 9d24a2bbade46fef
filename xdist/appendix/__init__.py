"""What a paper needs besides its numbers: citations, and an archive from which its numbers can be reproduced."""
