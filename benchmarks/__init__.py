"""Speed, memory and fidelity of ours beside the peers, measured in one run."""

import models  # noqa: F401 - first, for it switches off what libraries would send home
