"""Two runs, or two targets measured by turns: logs in, a verdict for every cell out."""
