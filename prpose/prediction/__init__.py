"""From keypoints to poses, in parts: how it is done, and how hypotheses are summed up."""
