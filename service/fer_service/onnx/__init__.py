"""The model file, the sessions that run it, and the batches they are given."""
