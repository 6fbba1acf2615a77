"""The runtime: a photo and a sentence in, the photo on a new background out. `cyclorama` has its public names."""
