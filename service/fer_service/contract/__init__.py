"""What the parts agree on: model metadata, settings, errors, boxes and the public JSON."""
