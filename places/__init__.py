"""What the places where pictures are shown ask of them."""
