"""Files and devices: keypoints in, predictions out, video."""
