"""What watches a run: signals, numbers, images, settings, workers."""
