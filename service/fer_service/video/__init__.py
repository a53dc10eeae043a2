"""Video files: frames with the container's timestamps in, a timeline of faces out. Needs the extra `video`."""
