"""Generated training images: faces and decoys pasted into photographs, crowds, degradation."""
