"""Training: simulated landmark sequences, the max-margin loss, working set, trainer. torch inside."""
