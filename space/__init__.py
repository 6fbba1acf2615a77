"""The page: a photo, its mask, a sentence, the pictures. It stands on `cyclorama.serving`."""
