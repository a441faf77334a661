"""The pose bank: candidates made offline, stored with their embeddings, searched by dot product."""
