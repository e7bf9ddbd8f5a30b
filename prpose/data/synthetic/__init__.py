"""Synthetic 2D from motion capture: cameras, occlusion, detector noise, procedural walkers."""
