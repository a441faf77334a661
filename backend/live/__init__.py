"""Live capture: a camera or a stream is solved frame by frame, with what is known by then."""
