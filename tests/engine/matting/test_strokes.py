"""Strokes: they change what is like them and near, each in its own direction, and nothing else."""

from __future__ import annotations

import numpy as np

from cyclorama.engine.matting.strokes import _by_colour, _distance, corrected


def test_a_stroke_takes_what_is_like_it_and_stops_at_edges() -> None:
    """A dab in the middle of one of two things that are one piece: it goes to where the other begins."""
    left, right, ground = (150, 20, 20), (20, 40, 150), (200, 200, 190)
    rgb = np.empty((200, 300, 3), np.uint8)
    rgb[:] = ground
    rgb[60:140, 100:150], rgb[60:140, 150:200] = left, right
    rgb = (rgb + np.random.default_rng(0).integers(0, 12, rgb.shape)).astype(np.uint8)
    alpha = np.zeros((200, 300), np.uint8)
    alpha[60:140, 100:200] = 255
    dab = np.zeros(alpha.shape, bool)
    dab[94:106, 168:180] = True
    less = corrected(rgb, alpha, alpha, None, dab)
    assert less[65:135, 103:147].min() > 200  # the other stays
    assert less[85:115, 155:195].max() < 100  # and what is like the dab around it is gone
    more = corrected(rgb, 255 - alpha, 255 - alpha, dab, None)  # the same, asked of its opposite
    assert np.abs((255 - more).astype(int) - less).max() <= 1
    # What says what is so already changes nothing.
    np.testing.assert_array_equal(corrected(rgb, alpha, alpha, dab, None), alpha)
    # Nothing changes far away.
    assert (less == alpha)[:, :90].all()


def test_strokes_of_both_kinds_are_where_they_were_painted() -> None:
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 255, (120, 90, 3)).astype(np.uint8)
    alpha = np.where(rng.random((120, 90)) > 0.5, 255, 0).astype(np.uint8)
    keep, drop = np.zeros(alpha.shape, bool), np.zeros(alpha.shape, bool)
    keep[10:50, 20:40], drop[50:70, 20:80] = True, True
    found = corrected(rgb, alpha, alpha, keep, drop)
    assert (found[keep] == 255).all()
    assert not found[drop].any()


def test_too_few_pixels_say_nothing_of_colours() -> None:
    """Of three each, in five colours far apart, no component of a mixture can be made."""
    colours = np.array([(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)], np.float32)
    image = np.zeros((20, 20, 3), np.float32)
    own = np.zeros((20, 20), bool)
    own[0, :15] = True
    image[0, :15] = colours.repeat(3, axis=0)
    image[1, :15] = colours.repeat(3, axis=0)
    where = np.zeros((20, 20), bool)
    where[1, :15] = True
    background = np.zeros((20, 20), bool)
    background[5:] = True
    np.testing.assert_array_equal(_by_colour(image, own, background, where), np.zeros(15))


def test_what_one_stroke_took_too_much_of_another_takes_back() -> None:
    left, right = (150, 20, 20), (20, 40, 150)
    rgb = np.empty((200, 300, 3), np.uint8)
    rgb[:, :150], rgb[:, 150:] = left, right
    rgb = (rgb + np.random.default_rng(0).integers(0, 12, rgb.shape)).astype(np.uint8)
    alpha, keep, drop = np.zeros((200, 300), np.uint8), np.zeros((200, 300), bool), np.zeros((200, 300), bool)
    keep[95:105, 138:148], drop[95:105, 152:162] = True, True
    both = corrected(rgb, alpha, alpha, keep, drop)
    assert both[92:108, 134:146].min() > 127
    assert both[90:110, 154:170].max() < 50


def test_distances_are_exact() -> None:
    from scipy.ndimage import distance_transform_edt

    mask = np.random.default_rng(2).random((37, 53)) > 0.98
    np.testing.assert_allclose(_distance(mask), distance_transform_edt(~mask), rtol=1e-6)
