"""Channels in, fixes out: what `locate` says is what the model says, calibrated."""

import pytest
import torch

from models.soundings import random_sounding, random_truth, waving_sounding
from physics.links import random_links
from radiofix.models import localizer as module
from radiofix.models import pretrained
from radiofix.models.agreement import PARTS
from radiofix.models.calibration import coverage
from radiofix.models.echo_head import WaveHead
from radiofix.models.frame import FrameHead
from radiofix.models.heads import PositionHead, ToaHead
from radiofix.models.localizer import Localizer, horizontal_scale
from radiofix.models.lwlm import LwlmEncoder
from radiofix.models.radiofix import RadiofixEncoder
from radiofix.physics.arrays import ula, upa
from radiofix.physics.channel import Channel
from radiofix.physics.impairments import Impairments
from radiofix.physics.ofdm import srs_pilots
from radiofix.physics.panels import in_line
from radiofix.physics.worlds import Worlds
from radiofix.types import Sounding, Station, Truth

STATION = Station(
    torch.tensor([10.0, 20.0, 6.0], dtype=torch.float64),
    torch.tensor([0.3, 0.0, 0.0], dtype=torch.float64),
    3.5e9,
)


def localizer(head=None):
    torch.manual_seed(0)
    return Localizer(RadiofixEncoder(16, 1, 2, 4, 8), head or FrameHead(16)).eval()


def channels(links=7):
    channel = Channel(10e6, 16, ula(8))
    generator = torch.Generator().manual_seed(1)
    return channel, 1e-4 * torch.randn(links, 8, 16, generator=generator, dtype=torch.complex64)


def test_described_csi_is_what_the_channel_itself_would_have_sounded():
    paths, channel = random_links(5), Channel(20e6, 16, ula(8), snr_db=10.0)
    sounding = channel.sound(paths)
    stations = [
        Station(p, o, float(f))
        for p, o, f in zip(
            paths.station_position, paths.station_orientation, paths.carrier_frequency, strict=True
        )
    ]
    described = channel.describe(sounding.csi, stations)
    for name in ("frequency", "antenna", "station_position", "station_orientation"):
        assert torch.allclose(getattr(described, name), getattr(sounding, name)), name
    assert described.station.tolist() == [0, 1, 2, 3, 4]
    assert channel.describe(sounding.csi, stations[0]).station.tolist() == [0] * 5


def test_csi_that_did_not_come_through_the_channel_is_refused():
    channel, csi = channels()
    with pytest.raises(ValueError, match="8 antennas and 15 subcarriers, the channel 8 and 16"):
        channel.describe(csi[:, :, 1:], STATION)
    with pytest.raises(ValueError, match="3 stations for 7 links"):
        channel.describe(csi, [STATION] * 3)


def test_a_fix_is_the_heads_estimate_with_its_covariance_whatever_the_pieces(monkeypatch):
    channel, csi = channels()
    model = localizer()
    model.calibration.stretch.fill_(2.0)
    model.calibration.height_deviation.fill_(0.5)
    fix = model.locate(csi, STATION, channel)
    estimate = model(channel.describe(csi, STATION))
    assert torch.allclose(fix.position, estimate.position)
    expected = 4 * estimate.scale @ estimate.scale.mT
    assert torch.allclose(fix.covariance[:, :2, :2], expected)
    assert torch.allclose(fix.covariance[:, 2, 2], torch.tensor(0.25, dtype=torch.float64))
    assert fix.covariance[:, 2, :2].abs().max() == 0
    monkeypatch.setattr(module, "LINKS", 3)
    pieces = model.locate(csi, STATION, channel)
    assert torch.allclose(pieces.position, fix.position, atol=1e-2)
    assert torch.allclose(pieces.covariance, fix.covariance, rtol=1e-3, atol=1e-2)


def test_a_fix_brings_the_places_that_its_head_weighed(monkeypatch):
    channel, csi = channels()
    model = localizer(WaveHead(16))
    model.calibration.stretch.fill_(2.0)
    csi[2] = 0
    fix = model.locate(csi, STATION, channel)
    heard = torch.arange(7) != 2
    told = model(channel.describe(csi[heard], STATION)).mixture
    parts = told.weight.shape[1]
    assert fix.mixture.weight.shape == (7, PARTS)
    assert (fix.mixture.weight[2] == -torch.inf).all()
    found = fix.mixture[heard]
    order = told.weight.argsort(1, descending=True)
    rows = torch.arange(6)[:, None]
    assert torch.allclose(found.weight[:, :parts].exp(), told.weight[rows, order].exp(), atol=1e-6)
    share = told.weight.exp().sum(1)
    assert torch.allclose(share, torch.ones_like(share))
    assert (found.weight[:, parts:] == -torch.inf).all()
    assert torch.allclose(found.place[:, :2], told.place[rows, order][:, :2], atol=1e-3)
    assert torch.allclose(found.scale[:, :2], told.scale[rows, order][:, :2], rtol=1e-3)
    monkeypatch.setattr(module, "LINKS", 3)
    pieces = model.locate(csi, STATION, channel)
    assert torch.allclose(pieces.mixture.weight.exp(), fix.mixture.weight.exp(), atol=1e-3)
    assert localizer().locate(csi, STATION, channel).mixture is None


def test_after_calibration_validation_users_are_covered_as_stated_and_strangers_not_trusted():
    model = localizer()
    training = [waving_sounding(200, seed) for seed in (0, 1)]
    validation = [(waving_sounding(300, 2), random_truth(300))]
    model.calibrate(training, validation)
    sounding, truth = validation[0]
    estimate = model(sounding)
    away = (estimate.position - truth.position)[:, :2]
    held = coverage(away, model.calibration.stretched(horizontal_scale(estimate)))
    assert held == pytest.approx(0.9, abs=0.01)
    fix = model.fix(sounding)
    assert 0.98 < fix.trusted.double().mean() < 1
    strange = sounding.with_csi(torch.ones_like(sounding.csi) * 1e3)
    assert not model.fix(strange).trusted.any()


def test_noise_is_not_trusted_whatever_its_features_are_like():
    model = localizer()
    assert model.calibration.threshold == torch.inf
    assert model.fix(waving_sounding(200, 4)).trusted.all()
    assert model.fix(random_sounding(200, 4)).trusted.double().mean() <= 0.01


@pytest.mark.parametrize("size", [1e-6, 1e-4, 1e-2])
def test_of_pure_noise_a_shipped_model_trusts_less_than_one_in_a_hundred(size):
    model = pretrained.load("radiofix-nano")
    generator = torch.Generator().manual_seed(3)
    csi = size * torch.randn(200, 8, 64, generator=generator, dtype=torch.complex64)
    fix = model.locate(csi, STATION, Channel(20e6, 64, ula(8)))
    assert fix.trusted.double().mean() <= 0.01
    assert fix.position.isfinite().all()


def test_real_links_at_0_db_are_trusted_as_before_with_common_phase_and_pilots_missing():
    model = pretrained.load("radiofix-nano")
    generator = torch.Generator().manual_seed(4)
    channel = Channel(
        20e6,
        64,
        ula(8),
        snr_db=0.0,
        pilots=srs_pilots(4),
        impairments=Impairments(common_phase=True),
    )
    sounding = channel.sound(Worlds().draw(300, generator), generator)
    features = model.encoder(sounding).summary
    before = model.calibration.trusted(features).double().mean()
    assert 0.5 < before < 1
    assert model.fix(sounding).trusted.double().mean() == pytest.approx(float(before), abs=0.01)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), 1e-20, 1e20])
def test_a_link_that_holds_nothing_is_nowhere_and_leaves_the_others_alone(value):
    channel, csi = channels()
    model, silent = localizer(), csi.clone()
    if value == 0.0 or abs(value) < 1:
        silent[2] = value
    else:
        silent[2, 3, 5] = value
    fix, whole = model.locate(silent, STATION, channel), model.locate(csi, STATION, channel)
    assert fix.position[2].isnan().all()
    assert fix.covariance[2].isnan().all()
    assert not fix.trusted[2]
    others = torch.arange(7) != 2
    assert torch.allclose(fix.position[others], whole.position[others], atol=1e-2)
    assert torch.allclose(fix.covariance[others], whole.covariance[others], rtol=1e-3, atol=1e-2)
    alone = model.locate(silent[2:3], STATION, channel)
    assert alone.position.isnan().all()
    assert not alone.trusted.any()


def test_no_links_have_no_fixes():
    channel, csi = channels()
    sounding = channel.describe(csi, STATION)
    fix = localizer().fix(sounding[:0])
    assert (len(fix), tuple(fix.covariance.shape)) == (0, (0, 3, 3))
    assert fix.trusted.dtype == torch.bool


def test_a_head_without_a_covariance_gets_one_circle_for_all():
    head = PositionHead(16)
    head.fit([random_sounding()], [random_truth()])
    model = localizer(head)
    validation = (random_sounding(100, 3), random_truth(100))
    model.calibrate([random_sounding()], [validation])
    covariance = model.fix(validation[0]).covariance[:, :2, :2]
    radius = model.calibration.stretch
    assert torch.allclose(covariance, radius**2 * torch.eye(2, dtype=torch.float64))


def test_a_head_that_gives_no_position_is_refused():
    channel, csi = channels()
    head = ToaHead(16)
    head.fit([random_sounding()], [random_truth()])
    with pytest.raises(ValueError, match="ToaHead gives no positions"):
        localizer(head).locate(csi, STATION, channel)


def test_a_panel_is_heard_as_one_row_by_what_looks_for_waves_and_whole_by_what_does_not():
    panel = Channel(20e6, 64, upa(4, 8)).describe(
        1e-4 * torch.randn(5, 32, 64, generator=torch.Generator().manual_seed(0)).to(torch.cfloat),
        Station(torch.tensor([0.0, 0, 10]).double(), torch.zeros(3).double(), 3.5e9),
    )
    torch.manual_seed(0)
    ours = Localizer(RadiofixEncoder(32, 1, 2), PositionHead(32)).eval()
    truth = Truth(torch.randn(5, 3).double(), torch.ones(5, dtype=torch.bool))
    ours.head.fit([panel], [truth])
    with torch.no_grad():
        assert torch.equal(ours(panel).position, ours(in_line(panel)).position)
    assert torch.equal(ours.fix(panel).position, ours.fix(in_line(panel)).position)
    theirs = Localizer(LwlmEncoder(antennas=32, subcarriers=64, dim=32, layers=1), PositionHead(32))
    theirs.head.fit([panel], [truth])
    theirs.eval()
    with torch.no_grad():
        whole = theirs.head(theirs.encoder(panel), panel).position
    torch.testing.assert_close(theirs.fix(panel).position, whole, rtol=0, atol=1e-6)


def test_what_a_link_is_told_does_not_depend_on_the_arrays_beside_it():
    torch.manual_seed(0)
    ours = Localizer(RadiofixEncoder(32, 1, 2), PositionHead(32)).eval()
    station = Station(torch.tensor([0.0, 0, 10]).double(), torch.zeros(3).double(), 3.5e9)
    csi = 1e-4 * torch.randn(
        3, 32, 64, generator=torch.Generator().manual_seed(0), dtype=torch.complex64
    )
    arrays = (ula(32), upa(8, 4), ula(32, 2.0), upa(4, 8))
    apart = [Channel(20e6, 64, array).describe(csi, station) for array in arrays]
    ours.head.fit(apart, [Truth(torch.randn(3, 3).double(), torch.ones(3, dtype=torch.bool))] * 4)
    alone = torch.cat([ours.fix(one).position for one in apart])
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    joined = Sounding.join(apart)[order]
    torch.testing.assert_close(ours.fix(joined).position, alone[order], rtol=0, atol=1e-6)
