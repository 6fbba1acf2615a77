"""The HTTP API: a queue of jobs over one engine."""
