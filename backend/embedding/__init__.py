"""Embedding: the image tower, the pose tower, their score, and inference from a track to poses."""
