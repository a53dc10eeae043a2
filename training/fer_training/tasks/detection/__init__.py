"""Face detectors: trained on photographs with face boxes and on generated scenes."""
