"""How a background is painted: the model's folder and networks, the tokenizer, the samplers, the working frame."""
