"""Files and devices: keypoints, predictions, pictures and video."""
