"""Which models exist, where they lie on disk, how they are fetched and checked; and the embedded ones."""
