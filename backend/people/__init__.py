"""People in a video: detect, follow with one identity each, choose. May import backend.networks, backend.types."""
