"""Speed, memory and fidelity of ours beside the peers, measured in one run."""
