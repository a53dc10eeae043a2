"""Our own face detector: its data, network, loss, training, evaluation and export."""
