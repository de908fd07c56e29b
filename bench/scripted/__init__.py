"""A model server with a script, the truth that follows from it, and the same cells read from a card."""
