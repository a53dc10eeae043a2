"""Video files: frames with timestamps in, a timeline of faces and an annotated video out (extra `video`)."""
