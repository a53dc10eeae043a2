"""Face detector of this project: data, network, loss, training, evaluation and export."""
