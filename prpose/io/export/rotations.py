"""Rotations of bones: from one direction to another, of several at once, and as Euler angles."""

import numpy as np

from prpose.camera import Array


def turn_towards(start: Array, end: Array) -> Array:
    """The smallest rotations (T, 3, 3), acting on columns, that turn ``start`` to ``end``.

    Rodrigues' formula, ``1 + [v] + [v]² / (1 + c)`` with v = start × end, c = start · end. Where
    the two point opposite ways half a turn about some axis square to ``start`` comes first.

    Args:
        start: (3,) unit vector.
        end: (T, 3) unit vectors.
    """
    square = np.cross(start, np.eye(3)[np.abs(start).argmin()])
    square /= np.linalg.norm(square)
    half = 2 * np.outer(square, square) - np.eye(3)  # takes start to -start
    away = end @ start < -1 + 1e-6
    first = np.where(away[:, None], -start, start)
    v, c = np.cross(first, end), np.einsum("ti,ti->t", first, end)
    cross = np.zeros((len(end), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = v
    cross[:, [1, 2, 0], [2, 0, 1]] = -v
    turn = np.eye(3) + cross + cross @ cross / (1 + c)[:, None, None]
    return np.asarray(np.where(away[:, None, None], turn @ half, turn))


def best_turn(start: Array, end: Array) -> Array:
    """The rotations (T, 3, 3) that bring points nearest to others, by least squares.

    Kabsch, A solution for the best rotation to relate two sets of vectors (1976).

    Args:
        start: (K, 3).
        end: (T, K, 3).
    """
    u, _, vt = np.linalg.svd(np.einsum("ki,tkj->tij", start, end))
    proper = np.ones((len(end), 3))
    proper[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))  # a rotation, never a mirror
    return np.einsum("tji,tj,tkj->tik", vt, proper, u)


def zxy_degrees(turns: Array) -> Array:
    """Angles (T, 3) about z, x and y with Rz·Rx·Ry = the rotations (T, 3, 3), without jumps.

    Each rotation has two such triples, and each angle is known but for full turns: taken are those
    nearest to the frame before.
    """
    z = np.arctan2(-turns[:, 0, 1], turns[:, 1, 1])
    x = np.arctan2(turns[:, 2, 1], np.hypot(turns[:, 0, 1], turns[:, 1, 1]))
    y = np.arctan2(-turns[:, 2, 0], turns[:, 2, 2])
    locked = np.hypot(turns[:, 0, 1], turns[:, 1, 1]) < 1e-9  # z and y turn about the same axis
    z = np.where(locked, np.arctan2(turns[:, 1, 0], turns[:, 0, 0]), z)
    y = np.where(locked, 0.0, y)
    triples = np.stack([np.stack([z, x, y], -1), np.stack([z + np.pi, np.pi - x, y + np.pi], -1)])
    angles = np.empty((len(turns), 3))
    before = np.zeros(3)
    for t in range(len(turns)):
        near = triples[:, t] - 2 * np.pi * np.round((triples[:, t] - before) / (2 * np.pi))
        before = angles[t] = near[np.abs(near - before).sum(-1).argmin()]
    return np.rad2deg(angles)
