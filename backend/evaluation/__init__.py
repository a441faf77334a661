"""Evaluation: pose errors with their alignment, simulated and real recordings, tables and plots."""
