"""What is tried for minutes rather than with every change: `make kills`, `make fuzz`, `make soak`."""
