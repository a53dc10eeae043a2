"""Measurements that docs and decisions quote; each prints one table."""
