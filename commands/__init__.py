"""The commands, one file each. Thin: parse, call, print. Data goes to stdout, notes and progress to stderr.

Only click and the options' declaration are imported up here, so that `--help` answers at once.
"""
