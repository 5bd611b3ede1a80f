"""What ONNX Runtime says of a channel is what torch says of it, or nothing is written."""

import copy
import dataclasses
import threading

import numpy as np
import pytest
import torch

from cli.mistakes import mistake
from miniature import write_miniature
from models.soundings import random_sounding, random_truth, waving_sounding
from radiofix.cli import main
from radiofix.data.store import open_paths
from radiofix.models.frame import FrameHead
from radiofix.models.heads import FusionHead, PositionHead, ToaHead
from radiofix.models.kriging import Kriging
from radiofix.models.localizer import Localizer
from radiofix.models.lwlm import LwlmEncoder
from radiofix.models.radiofix import RadiofixEncoder
from radiofix.models.resnet import ResNetEncoder
from radiofix.physics.arrays import ula, upa
from radiofix.physics.channel import Channel
from radiofix.physics.ofdm import srs_pilots
from radiofix.physics.panels import in_line
from radiofix.physics.strongest import strongest_wave as by_complex_numbers
from radiofix.serving import engines
from radiofix.serving import export as module
from radiofix.serving.export import RefusedError, export
from radiofix.serving.http.background import model_thread
from radiofix.serving.http.service import Service
from radiofix.serving.onnx import accuracy as costs
from radiofix.serving.onnx.localizer import OnnxLocalizer
from radiofix.serving.onnx.networks import RealLocalizer
from radiofix.serving.onnx.session import Session, tensors_of
from radiofix.serving.onnx.trials import agreement, trials
from radiofix.serving.onnx.waves import RealSounding, strongest_wave
from radiofix.serving.soundings import Reading
from serving.http.server import ask, posted

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def small(known_stations=0):
    """An encoder and a head of our own whose answers depend on everything that is told."""
    torch.manual_seed(0)
    encoder = RadiofixEncoder(dim=16, layers=1, heads=2, known_stations=known_stations)
    localizer = Localizer(encoder, FrameHead(16)).eval()
    return calibrated(localizer, [waving_sounding(80, seed) for seed in (0, 1)])


def calibrated(localizer, soundings):
    held_out = [(s, random_truth(len(s), seed)) for seed, s in enumerate(soundings)]
    localizer.calibrate(soundings, held_out)
    # Half of all links are strangers: an answer that is always yes would be found out.
    with torch.no_grad():
        features = torch.cat([localizer.encoder(s).summary for s in soundings])
    middle = localizer.calibration.strangeness(features).median()
    # No link lies on the border itself, where rounding would decide.
    localizer.calibration.threshold.fill_(1.0001 * middle)
    localizer.calibration.stretch.fill_(1.7)
    return localizer


def real(sounding):
    return RealSounding(*tensors_of(sounding))


def same(localizer, sounding, position=1e-4):
    ours = localizer.fix(sounding)
    with torch.no_grad():
        found, covariance, trusted = RealLocalizer(localizer).eval()(*tensors_of(sounding))
    torch.testing.assert_close(found, ours.position, atol=position, rtol=1e-6)
    torch.testing.assert_close(covariance, ours.covariance, atol=1e-3, rtol=1e-4)
    assert torch.equal(trusted, ours.trusted)
    assert 0 < trusted.double().mean() < 1


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    return open_paths(write_miniature(tmp_path_factory.mktemp("street") / "mini.zarr"))


@pytest.fixture(scope="module")
def exported(street, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    localizer = small(known_stations=2)
    for trial in trials(street, localizer)[:1]:
        localizer.encoder.memory.meet(trial.sounding)
        with torch.no_grad():
            localizer.encoder.memory.vectors.normal_()
    krige(localizer)
    return localizer, export(localizer, path, street, "small")


def krige(localizer):
    """Tells it of labelled links whose places are off by what their summaries say."""
    links = []
    for seed in range(4, 9):
        sounding, truth = random_sounding(60, seed), random_truth(60, seed)
        with torch.no_grad():
            features = localizer.encoder(sounding).summary.double()
        truth.position[:, :2] = localizer.fix(sounding).position[:, :2]
        truth.position[:, :2] += 20 * torch.tanh(features[:, :2])
        links.append((sounding, truth))
    localizer.krige(links[:4], links[4:])
    assert localizer.kriging.fitted


def sounded(street, antennas, subcarriers, bandwidth=20e6, comb=1, users=None):
    pilots = srs_pilots(comb) if comb > 1 else None
    channel = Channel(bandwidth, subcarriers, ula(antennas), snr_db=15.0)
    channel = channel if pilots is None else dataclasses.replace(channel, pilots=pilots)
    return channel.sound(street.links(users=users), torch.Generator().manual_seed(5))


@pytest.mark.parametrize(("antennas", "subcarriers", "comb"), [(8, 32, 1), (5, 24, 1), (8, 32, 4)])
def test_the_strongest_wave_is_the_same_without_complex_numbers(
    street, antennas, subcarriers, comb
):
    sounding = sounded(street, antennas, subcarriers, comb=comb)
    expected = by_complex_numbers(sounding.csi, sounding.frequency, sounding.antenna)
    found = strongest_wave(real(sounding))
    torch.testing.assert_close(found.range, expected.range, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.direction, expected.direction, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.azimuth, expected.azimuth, atol=1e-4, rtol=0)
    gain = torch.complex(found.gain_real, found.gain_imaginary)
    torch.testing.assert_close(gain, expected.gain, rtol=1e-4, atol=1e-12)


def test_a_localizer_in_real_arithmetic_says_what_it_says_in_complex():
    same(small(), waving_sounding(40, 3))


def test_noise_silence_and_nan_are_told_in_real_arithmetic_too():
    localizer, sounding = small(), waving_sounding(40, 3)
    localizer.calibration.threshold.fill_(torch.inf)
    csi = sounding.csi.clone()
    csi[:20] = random_sounding(20, 7).csi
    csi[4], csi[5, 1, 1], csi[6] = 0, torch.nan, 1e-20
    broken = sounding.with_csi(csi)
    ours = localizer.fix(broken)
    assert (~ours.trusted).nonzero()[:, 0].tolist() == list(range(20))
    with torch.no_grad():
        found, covariance, trusted = RealLocalizer(localizer).eval()(*tensors_of(broken))
    assert found.isnan().all(-1).nonzero()[:, 0].tolist() == [4, 5, 6]
    torch.testing.assert_close(found, ours.position, atol=1e-4, rtol=1e-6, equal_nan=True)
    torch.testing.assert_close(covariance, ours.covariance, atol=1e-3, rtol=1e-4, equal_nan=True)
    assert torch.equal(trusted, ours.trusted)


def test_a_file_tells_noise_and_silence_as_torch_does(exported):
    localizer, made = exported
    sounding = waving_sounding(30, 8)
    csi = sounding.csi.clone()
    csi[:10], csi[10], csi[11, 2, 2] = random_sounding(10, 9).csi, 0, torch.nan
    broken = sounding.with_csi(csi)
    ours, theirs = localizer.fix(broken), OnnxLocalizer(made.path, threads=1).fix(broken)
    assert not theirs.trusted[:12].any()
    assert theirs.trusted[12:].any()
    assert theirs.position.isnan().all(-1).nonzero()[:, 0].tolist() == [10, 11]
    found = agreement([(broken, ours, theirs)])
    assert found.well, found
    there = dataclasses.replace(theirs, position=theirs.position.nan_to_num(0.0))
    assert not agreement([(broken, ours, there)]).well


def test_a_station_that_is_remembered_is_remembered_in_real_arithmetic():
    localizer, sounding = small(known_stations=3), waving_sounding(40, 3)
    before = localizer.fix(sounding).position
    localizer.encoder.memory.meet(sounding)
    with torch.no_grad():
        localizer.encoder.memory.vectors.normal_(generator=torch.Generator().manual_seed(1))
    assert (localizer.fix(sounding).position - before).abs().max() > 0.1
    same(localizer, sounding)


def test_what_labelled_links_have_told_is_told_in_real_arithmetic():
    localizer = small()
    plain = localizer.fix(waving_sounding(40, 3)).position
    krige(localizer)
    same(localizer, waving_sounding(40, 3), position=1e-3)
    assert (localizer.fix(waving_sounding(40, 3)).position - plain).abs().max() > 0.1


def test_what_labelled_links_have_told_is_in_the_file(street, exported):
    localizer, made = exported
    sounding = sounded(street, 4, 16)
    found, ours = OnnxLocalizer(made.path).fix(sounding), localizer.fix(sounding)
    torch.testing.assert_close(found.position, ours.position, atol=1e-2, rtol=0, equal_nan=True)
    told = copy.deepcopy(localizer)
    told.kriging = Kriging(16)
    moved = (told.fix(sounding).position - ours.position)[~ours.position.isnan()]
    assert moved.abs().max() > 0.1


def test_the_published_encoder_with_its_head_is_the_same_and_so_is_one_that_fuses():
    torch.manual_seed(0)
    head = PositionHead(16)
    head.fit([waving_sounding()], [random_truth()])
    encoder = LwlmEncoder(8, 16, dim=16, layers=2, heads=2, feedforward=32)
    for used in (head, FusionHead(head)):
        localizer = Localizer(encoder, used).eval()
        known, sounding = waving_sounding(40), waving_sounding(30, 4)
        for links in (known, sounding):
            links.csi[:, :, ::2] = 0
        localizer = calibrated(localizer, [known])
        same(localizer, sounding, position=1e-2)


def test_a_convolutional_encoder_is_the_same():
    torch.manual_seed(0)
    head = PositionHead(512)
    head.fit([waving_sounding()], [random_truth()])
    localizer = calibrated(Localizer(ResNetEncoder(), head).eval(), [waving_sounding(8)])
    same(localizer, waving_sounding(8), position=1e-2)


def test_what_is_written_agrees_with_torch_for_any_array_band_and_number_of_links(street, exported):
    localizer, made = exported
    assert made.agreement.position < 1e-4
    runs = OnnxLocalizer(made.path)
    for antennas, subcarriers, comb in ((3, 20, 1), (16, 48, 2), (2, 7, 1)):
        sounding = sounded(street, antennas, subcarriers, 30e6, comb)
        found = agreement([(sounding, localizer.fix(sounding), runs.fix(sounding))])
        assert found.links == len(sounding)
        assert found.well, (antennas, subcarriers, found)
    many = sounded(street, 4, 16)
    one, all_ = runs.fix(many[7:8]), runs.fix(many)
    torch.testing.assert_close(one.position[0], all_.position[7], atol=1e-3, rtol=0)
    assert len(runs.fix(many[:0])) == 0


def test_panels_are_one_row_and_arrays_too_sparse_are_refused(street, exported):
    localizer, made = exported
    runs = OnnxLocalizer(made.path, threads=1)
    paths = street.links(users=np.arange(6))
    panel, wide, sparse = (
        Channel(20e6, 32, array, snr_db=15.0).sound(paths)
        for array in (upa(4, 8), ula(8, 0.52), ula(8, 1.0))
    )
    ours = localizer.fix(panel)
    assert torch.equal(ours.position, localizer.fix(in_line(panel)).position)
    torch.testing.assert_close(runs.fix(panel).position, ours.position, atol=1e-3, rtol=0)
    found, expected = (model.fix(wide).position for model in (runs, localizer))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="8 antennas stand further than half a wavelength apart"):
        runs.fix(sparse)
    assert localizer.fix(sparse).position.isfinite().all()


def test_links_are_shared_out_among_threads_in_order(street, exported, monkeypatch):
    _, made = exported
    many, seen = sounded(street, 4, 16)[:40], []
    run = Session.run

    def watched(session, sounding):
        seen.append((threading.current_thread().name.partition("_")[0], len(sounding)))
        return run(session, sounding)

    monkeypatch.setattr(Session, "run", watched)
    alone, shared = (OnnxLocalizer(made.path, threads=threads).fix(many) for threads in (1, 3))
    assert seen[0] == ("MainThread", 40)
    assert sorted(seen[1:]) == [("radiofix-onnx", 12), ("radiofix-onnx", 14), ("radiofix-onnx", 14)]
    torch.testing.assert_close(shared.position, alone.position, atol=1e-3, rtol=0)
    torch.testing.assert_close(shared.covariance, alone.covariance, atol=1e-2, rtol=1e-3)


def test_locating_takes_what_a_localizer_takes(street, exported):
    localizer, made = exported
    channel = Channel(20e6, 16, ula(4))
    csi = channel.synthesize(street.links(users=[1, 2], station=0))
    ours = localizer.locate(csi, street.stations[0], channel)
    theirs = OnnxLocalizer(made.path, threads=1).locate(csi, street.stations[0], channel)
    torch.testing.assert_close(theirs.position, ours.position, atol=1e-2, rtol=0)
    assert theirs.position.dtype == torch.float64
    assert theirs.trusted.dtype == torch.bool


def test_a_file_says_what_it_is_and_how_it_was_checked(exported):
    _, made = exported
    facts = OnnxLocalizer(made.path).facts
    assert (facts["producer"], facts["model"]) == ("radiofix", "small")
    assert facts["agreement"] == str(made.agreement)
    assert "wavelengths" in facts["meaning"]
    assert facts["antennas"] == "any number"


def test_who_has_onnx_runtime_alone_gets_the_same_fixes(street, exported):
    import onnxruntime

    localizer, made = exported
    sounding = sounded(street, 4, 16, users=[3])
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    csi = sounding.csi.numpy()
    position, covariance, trusted = session.run(
        ["position", "covariance", "trusted"],
        {
            "csi_real": csi.real.astype(np.float32),
            "csi_imag": csi.imag.astype(np.float32),
            "frequency": sounding.frequency.numpy(),
            "antenna": sounding.antenna.numpy(),
            "station_position": sounding.station_position.numpy(),
            "station_orientation": sounding.station_orientation.numpy(),
        },
    )
    ours = localizer.fix(sounding)
    np.testing.assert_allclose(position, ours.position, atol=1e-2)
    np.testing.assert_allclose(covariance, ours.covariance, rtol=1e-3, atol=1e-3)
    assert trusted.tolist() == ours.trusted.tolist()


def test_a_file_that_disagrees_is_not_written(street, tmp_path, monkeypatch):
    def write(localizer, trial, path, facts):
        path.write_bytes(b"")

    class Beside:
        """Puts everybody a metre away."""

        def __init__(self, path):
            pass

        def fix(self, sounding):
            fix = small().fix(sounding)
            return dataclasses.replace(fix, position=fix.position + 1.0)

    monkeypatch.setattr(module, "_write", write)
    monkeypatch.setattr(module, "OnnxLocalizer", Beside)
    with pytest.raises(RefusedError, match="disagrees with torch"):
        export(small(), tmp_path / "wrong.onnx", street)
    assert list(tmp_path.iterdir()) == []


def test_int8_is_written_where_it_costs_little_and_refused_with_its_figures_elsewhere(
    street, exported, tmp_path, monkeypatch
):
    localizer, made = exported

    def write(localizer, trial, path, facts):
        path.write_bytes(made.path.read_bytes())

    monkeypatch.setattr(module, "_write", write)
    reading = Reading(bandwidth=20e6, antennas=8, subcarriers=64)
    out = tmp_path / "small8.onnx"
    monkeypatch.setattr(module, "MOST", -1.0)
    with pytest.raises(RefusedError, match=r"int8 costs .* median .* mean .* links"):
        export(localizer, out, street, int8=True, check=street, reading=reading)
    assert not out.exists()
    monkeypatch.setattr(module, "MOST", costs.MOST)
    rounded = export(localizer, out, street, int8=True, check=street, reading=reading)
    assert rounded.cost.share < 0.05
    assert rounded.cost.before.links == rounded.cost.after.links > 0
    sounding = sounded(street, 8, 64)
    sounding = sounding[(sounding.csi != 0).any(-1).any(-1)]
    away = OnnxLocalizer(out).fix(sounding).position - localizer.fix(sounding).position
    assert 1e-6 < away.abs().max() < 10
    assert OnnxLocalizer(out).facts["int8"] == str(rounded.cost)


def test_the_cost_is_that_of_the_worse_of_median_and_mean():
    before, after = costs.Accuracy(9, 2.0, 4.0), costs.Accuracy(9, 2.02, 4.4)
    assert costs.Cost(before, after).share == pytest.approx(0.1)


def test_what_cannot_be_exported_is_refused_in_one_line(street, tmp_path):
    head = ToaHead(16)
    localizer = Localizer(RadiofixEncoder(dim=16, layers=1, heads=2), head)
    with pytest.raises(ValueError, match="ToaHead is not exported: only FrameHead, PositionHead"):
        export(localizer, tmp_path / "a.onnx", street)
    with pytest.raises(ValueError, match=r"end it in \.onnx"):
        export(small(), tmp_path / "a.bin", street)
    with pytest.raises(ValueError, match="name a labelled check store"):
        export(small(), tmp_path / "a.onnx", street, int8=True)


def test_a_file_of_others_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match="cannot be read as an ONNX model"):
        OnnxLocalizer(tmp_path / "a.onnx")


def test_mistakes_on_the_command_line_are_one_line(capsys, tmp_path):
    out = tmp_path / "a.onnx"
    assert "nobody" in mistake(capsys, "export", "nobody", "--out", out)
    assert ".onnx" in mistake(capsys, "export", "radiofix-nano", "--out", tmp_path / "a.bin")
    assert "check" in mistake(capsys, "export", "radiofix-nano", "--int8", "--out", out)


def test_a_refusal_is_status_1_and_says_why(capsys, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RefusedError("int8 costs 7.0 %")

    monkeypatch.setattr(module, "export", refuse)
    assert main(["export", "radiofix-nano", "--out", str(tmp_path / "a.onnx")]) == 1
    assert capsys.readouterr().err == "radiofix: not written: int8 costs 7.0 %\n"


@pytest.fixture
def known(exported, tmp_path, monkeypatch):
    """A model by the name of small, whose exports are kept in a folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(engines, "load", lambda name: exported[0])
    return exported[1].path


@pytest.fixture
def told(monkeypatch):
    """Which engine is timed to be the faster."""
    faster = ["OnnxLocalizer"]
    monkeypatch.setattr(engines, "seconds", lambda m, size: float(type(m).__name__ != faster[0]))
    return faster


def test_the_faster_engine_is_taken_where_an_export_is_kept_and_torch_elsewhere(
    street, known, told, caplog
):
    localizer, path = engines.load("small"), engines.kept(engines.load("small"))

    def engine(kind):
        return engines.engine_of("small", kind, street.path, threads=1)

    assert engine("faster").model is localizer
    path.parent.mkdir()
    path.write_bytes(known.read_bytes())
    found = engine("faster")
    assert isinstance(found.model, OnnxLocalizer)
    assert found.told.startswith("ONNX Runtime")
    assert (found.name, found.parameters) == ("small", engine("torch").parameters)
    told[0] = "Localizer"
    assert engine("faster").model is localizer
    path.write_bytes(b"damaged")
    assert engine("faster").model is localizer
    assert "cannot be read as an ONNX model" in caplog.text


def test_an_export_is_made_once_and_belongs_to_these_weights_alone(street, known, monkeypatch):
    made = []

    def write(localizer, path, street, title):
        made.append(title)
        path.write_bytes(known.read_bytes())

    monkeypatch.setattr(module, "export", write)
    for _ in range(2):
        engine = engines.engine_of("runs/small", "onnx", street.path)
        assert isinstance(engine.model, OnnxLocalizer)
    assert made == ["small"]
    localizer = engines.load("small")
    before = engines.kept(localizer)
    with torch.no_grad():
        localizer.calibration.stretch.mul_(2)
    assert engines.kept(localizer) != before
    with torch.no_grad():
        localizer.calibration.stretch.div_(2)


def test_a_call_is_timed_with_a_full_batch_of_the_models_own_size():
    asked = []

    class Counts:
        def fix(self, sounding):
            asked.append(sounding.csi.shape)

    assert engines.seconds(Counts(), (8, 16), calls=2) < 1
    assert asked == [(64, 8, 16)] * 3


def test_a_server_says_by_onnx_runtime_what_it_says_by_torch(street, exported, known):
    _, made = exported
    channel = Channel(20e6, 16, ula(4), snr_db=20.0)
    csi = channel.synthesize(street.links(users=list(range(9)), station=0)).numpy()
    request = posted(
        {
            "csi": csi,
            "bandwidth": 20e6,
            "ula_spacing": 0.5,
            "station_position": street.stations[0].position.numpy()[None],
            "station_orientation": street.stations[0].orientation.numpy()[None],
            "carrier_frequency": street.stations[0].carrier_frequency,
        }
    )
    models = {"method": "GET", "url": "/v1/models"}
    by_file = engines.engine_of(str(made.path), "faster", street.path, 1)
    answers = []
    for engine in (engines.engine_of("small", "torch", street.path), by_file):
        fixes, listed = ask(Service(engine, worker=model_thread(1)), request, models)
        assert fixes.status_code == 200, fixes.text
        assert listed.json()["models"][0]["engine"] == engine.told
        answers.append(fixes.json()["fixes"])
    assert by_file.told.startswith("ONNX Runtime")
    for ours, theirs in zip(*answers, strict=True):
        reach = 1 + float(np.linalg.norm(ours["position"]))
        assert theirs["position"] == pytest.approx(ours["position"], abs=1e-4 * reach)
        largest = np.abs(ours["covariance"]).max()
        assert np.array(theirs["covariance"]) == pytest.approx(
            np.array(ours["covariance"]), abs=1e-4 * largest
        )
        assert theirs["trusted"] == ours["trusted"]
