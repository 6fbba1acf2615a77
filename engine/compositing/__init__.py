"""How subject and background come together: place on the canvas, given backgrounds, shadow, light, the last step."""
