"""A moving user: the smoother is the exact posterior, honest, and not led astray."""

import numpy as np
import pytest

from radiofix.serving import tracking
from radiofix.serving.fixes import NO_TRACK, Fixes
from radiofix.serving.tracking import Motion, kalman_smoother, smooth

MOTION = Motion(acceleration=0.7, speed=3.0)


def block(time, place, track=NO_TRACK, deviation=2.0, trusted=True, source="walk"):
    fixes = len(time)
    position = np.column_stack([place, np.full(fixes, 1.5)])
    covariance = np.broadcast_to(np.diag([deviation**2, deviation**2, 1.0]), (fixes, 3, 3)).copy()
    return Fixes(
        source=source,
        user=np.arange(fixes),
        time=np.asarray(time, dtype=float),
        track=np.broadcast_to(track, fixes).copy(),
        position=position,
        covariance=covariance,
        trusted=np.broadcast_to(trusted, fixes).copy(),
        station=np.zeros((fixes, 1), dtype=int),
        weight=np.ones((fixes, 1)),
    )


def straight(steps=40, seed=0, deviation=2.0, interval=0.5):
    """A walk at 1.4 m/s and its noisy fixes."""
    time = interval * np.arange(steps)
    truth = np.column_stack([1.0 * time, 1.0 * time - 5])
    noise = np.random.default_rng(seed).normal(0, deviation, truth.shape)
    return time, truth, truth + noise


def test_the_smoother_is_the_gaussian_posterior(monkeypatch):
    """Prior of all states together, conditioned on all fixes together, by plain linear algebra."""
    # With a vaguer beginning it is the plain algebra that runs out of digits.
    monkeypatch.setattr(tracking, "_ANYWHERE", 1e4)
    rng = np.random.default_rng(3)
    time = np.array([0.0, 0.4, 1.5, 1.5, 4.0])
    place, steps = rng.normal(0, 3, (5, 2)), 5
    covariance = np.array([np.diag([1.0, 4.0]) + 0.3 * (1 - np.eye(2))] * 5)
    q, prior = MOTION.acceleration**2, np.diag([1e4, 1e4, 9.0, 9.0])
    mean0 = np.array([*place[0], 0, 0])
    joint, mean = np.zeros((4 * steps, 4 * steps)), np.zeros(4 * steps)
    state = prior
    for k in range(steps):
        if k:
            t = time[k] - time[k - 1]
            move = np.kron([[1, t], [0, 1]], np.eye(2))
            noise = q * np.kron([[t**3 / 3, t**2 / 2], [t**2 / 2, t]], np.eye(2))
            state = move @ state @ move.T + noise
            joint[4 * k : 4 * k + 4, : 4 * k] = move @ joint[4 * k - 4 : 4 * k, : 4 * k]
            joint[: 4 * k, 4 * k : 4 * k + 4] = joint[4 * k : 4 * k + 4, : 4 * k].T
        joint[4 * k : 4 * k + 4, 4 * k : 4 * k + 4] = state
        mean[4 * k : 4 * k + 2] = mean0[:2]
    look = np.kron(np.eye(steps), np.eye(2, 4))
    stack = np.zeros((10, 10))
    for k in range(steps):
        stack[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = covariance[k]
    gain = joint @ look.T @ np.linalg.inv(look @ joint @ look.T + stack)
    expected = mean + gain @ (place.reshape(-1) - look @ mean)
    posterior = joint - gain @ look @ joint
    every = Motion(MOTION.acceleration, MOTION.speed, gate=1 - 1e-12)
    sure = np.ones((1, 5), dtype=bool)
    track = kalman_smoother(time[None], place[None], covariance[None], sure, every)
    assert np.allclose(track.state.reshape(-1), expected, atol=1e-6)
    for k in range(steps):
        part = posterior[4 * k : 4 * k + 4, 4 * k : 4 * k + 4]
        assert np.allclose(track.covariance[0, k], part, atol=1e-6)


def test_on_a_straight_walk_the_smoothed_track_beats_the_single_fixes():
    raw, smoothed = [], []
    for seed in range(20):
        time, truth, seen = straight(seed=seed)
        (found,) = smooth([block(time, seen)], Motion(0.2, 3.0))
        raw.append(seen - truth)
        smoothed.append(found.position[:, :2] - truth)
        assert np.allclose(found.velocity.mean(0), [1, 1], atol=0.4)
    rmse, before = (np.sqrt(np.square(e).sum(-1).mean()) for e in (smoothed, raw))
    assert before == pytest.approx(2 * np.sqrt(2), rel=0.1)
    assert rmse < 0.5 * before


def test_the_tracks_covariance_is_consistent():
    """Over many users that move as stated, the mean squared Mahalanobis distance is 2."""
    rng, tracks, steps, t = np.random.default_rng(4), 400, 30, 0.7
    q = MOTION.acceleration**2
    noise = np.linalg.cholesky(q * np.array([[t**3 / 3, t**2 / 2], [t**2 / 2, t]]))
    place, velocity = np.zeros((tracks, 2)), rng.normal(0, MOTION.speed, (tracks, 2))
    truth = []
    for _ in range(steps):
        truth.append(place)
        jolt = np.einsum("ij,tja->tia", noise, rng.normal(size=(tracks, 2, 2)))
        place, velocity = place + t * velocity + jolt[:, 0], velocity + jolt[:, 1]
    truth = np.stack(truth, 1)
    factor = np.array([[2.0, 0.0], [0.8, 1.0]])
    seen = truth + np.einsum("ij,tsj->tsi", factor, rng.normal(size=truth.shape))
    covariance = np.broadcast_to(factor @ factor.T, (tracks, steps, 2, 2))
    time = np.broadcast_to(t * np.arange(steps), (tracks, steps))
    sure = np.ones((tracks, steps), dtype=bool)
    track = kalman_smoother(time, seen, covariance, sure, MOTION)
    away = track.state[..., :2] - truth
    inverse = np.linalg.inv(track.covariance[..., :2, :2])
    nees = np.einsum("tsi,tsij,tsj->ts", away, inverse, away)
    assert 1.9 < nees.mean() < 2.1
    assert track.used.mean() > 0.995


def test_a_fix_that_is_far_off_does_not_move_the_track_and_is_marked():
    time, truth, seen = straight(seed=5)
    astray = seen.copy()
    astray[20] += [100, 0]
    (found,) = smooth([block(time, astray)], Motion(0.5, 3.0))
    assert not found.trusted[20]
    assert found.trusted.sum() == 39
    assert np.linalg.norm(found.position[20, :2] - truth[20]) < 2


def test_fixes_that_are_not_trusted_do_not_move_the_track_but_get_a_place():
    time, truth, seen = straight(seed=6)
    trusted = np.ones(40, dtype=bool)
    trusted[:10] = False
    wrong = seen.copy()
    wrong[:10] += 300
    fixes = block(time, wrong, trusted=trusted)
    fixes.position[15] = np.nan
    (found,) = smooth([fixes], Motion(0.2, 3.0))
    assert found.trusted.tolist() == [i >= 10 and i != 15 for i in range(40)]
    assert np.linalg.norm(found.position[:, :2] - truth, axis=1).max() < 6
    assert found.position[15, 2] == pytest.approx(1.5)
    assert found.covariance[15, 2, 2] == pytest.approx(1)


def test_after_some_refusals_the_track_begins_anew_where_the_user_is_now():
    time, _, seen = straight(seed=7)
    jumped = seen + np.where(np.arange(40) >= 20, 500.0, 0.0)[:, None]
    (found,) = smooth([block(time, jumped)], Motion(0.5, 3.0, patience=3))
    assert np.flatnonzero(~found.trusted).tolist() == [20, 21, 22]
    assert np.linalg.norm(found.position[24:, :2] - jumped[24:], axis=1).max() < 6
    # What came before the new beginning is as if nothing had come after.
    (before,) = smooth([block(time[:23], jumped[:23])], Motion(0.5, 3.0, patience=3))
    assert np.allclose(found.position[:23], before.position, atol=1e-6)
    assert np.allclose(found.velocity[:23], before.velocity, atol=1e-6)
    assert np.linalg.norm(found.position[:19, :2] - jumped[:19], axis=1).max() < 6


def test_tracks_in_any_order_and_in_any_blocks_are_smoothed_each_for_itself():
    time, _, seen = straight(seed=8)
    other = straight(steps=17, seed=9)[2] + 1000
    (first,) = smooth([block(time, seen, 4)], MOTION)
    (second,) = smooth([block(time[:17], other, 9)], MOTION)
    rng = np.random.default_rng(0)
    track = np.concatenate([np.full(40, 4), np.full(17, 9)])
    order = rng.permutation(57)
    mixed = block(
        np.concatenate([time, time[:17]])[order], np.concatenate([seen, other])[order], track[order]
    )
    pieces = list(smooth([mixed[:20], mixed[20:21], mixed[21:]], MOTION))
    assert [len(p) for p in pieces] == [20, 1, 36]
    found = np.concatenate([p.position for p in pieces])
    expected = np.concatenate([first.position, second.position])[order]
    assert np.allclose(found, expected, atol=1e-6)


def test_without_a_time_there_is_no_track():
    fixes = block([0.0, np.nan], np.zeros((2, 2)), source="a.npz")
    with pytest.raises(ValueError, match=r"a\.npz has no time: name it"):
        list(smooth([fixes], MOTION))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"acceleration": 0.0}, "acceleration must be positive, got 0"),
        ({"gate": 1.0}, "gate must lie between 0 and 1"),
        ({"patience": 0}, "patience must be at least 1"),
    ],
)
def test_motions_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Motion(**wrong)
