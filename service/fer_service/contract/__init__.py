"""Shared definitions: model metadata, settings, errors, boxes and the public JSON."""
