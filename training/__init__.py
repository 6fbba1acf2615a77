"""How nano is made.  Needs `cyclorama[training]`; nothing that serves imports it."""
