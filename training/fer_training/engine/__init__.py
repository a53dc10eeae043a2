"""The training engine: recipes, run folders, the loop, checkpoints and export. It knows no task."""
