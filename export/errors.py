"""What goes wrong while a checkpoint is exported."""

from cyclorama.models.errors import CycloramaError


class ExportFailed(CycloramaError):
    """The source cannot be read or fused, or what was exported does not agree with PyTorch."""

    code = "export_failed"
