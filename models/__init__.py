"""Which models exist, where they lie on disk, how they are fetched and checked; and the embedded ones.

Every package of Cyclorama imports this one before anything else.
"""

from models.privacy import switch_off_telemetry

switch_off_telemetry()
