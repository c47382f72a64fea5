"""Runs on workers of a cluster: the same bytes, and words for what workers lack.

Here workers are threads of this process; `test_cluster_faults` has real ones.
"""

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from distributed import Client, get_worker

import napari_structsr as sr
from napari_structsr import (
    Cancel,
    InspectSettings,
    MemorySink,
    OmeZarrSink,
    TiffSink,
    UpscaleSettings,
    iter_inspect,
    iter_upscale,
    load_model,
    open_source,
    result_of,
)
from napari_structsr.core.axes import Channel
from napari_structsr.core.part import RunPart
from napari_structsr.engine import batches, connection
from napari_structsr.engine import cluster as engine_cluster
from napari_structsr.engine.batches import ImagePath, StorePlace, run_batch
from napari_structsr.engine.events import Cancelled, Finished, Noted, Progressed
from napari_structsr.errors import CancelError, ClusterError, ModelError
from napari_structsr.inspection.scoring.scores import Scorer
from napari_structsr.io.ome_zarr.map_store import MapStores
from napari_structsr.upscaling.upscale_job import ImageAndModel, prepare_job

SETTINGS = UpscaleSettings(device="cpu", precision="float32", agreement="noise")


@pytest.fixture(scope="module", autouse=True)
def own_machine():
    """Let a scheduler look up where it listens: on this machine, which asks nobody."""
    kind = socket.AF_INET, socket.SOCK_STREAM, 6, ""

    def find(_, port, *__, **___):
        return [(*kind, ("127.0.0.1", int(port or 0)))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", find)
        patch.setattr("distributed.utils._get_ip", lambda *_, **__: "127.0.0.1")
        yield


@pytest.fixture(scope="module")
def client():
    with Client(
        processes=False,
        n_workers=2,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        set_as_default=False,
    ) as found:
        yield found


@pytest.fixture
def image(tmp_path, stack):
    path = tmp_path / "in.tif"
    tifffile.imwrite(
        path,
        stack.reshape(4, 96, 112),
        photometric="minisblack",
        metadata={"axes": "ZYX"},
    )
    return path


def read_tree(folder):
    """Return the bytes of all files by their names."""
    if folder.is_file():
        return {"": folder.read_bytes()}
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def run(image, sink, **options):
    model = load_model("faithful", factor=2)
    return iter_upscale(open_source(image), model, sink, settings=SETTINGS, **options)


@pytest.mark.parametrize(
    ("kind", "name"), [(OmeZarrSink, "{}.ome.zarr"), (TiffSink, "{}.ome.tif")]
)
def test_workers_leave_the_bytes_of_a_plain_run(tmp_path, image, client, kind, name):
    plain = result_of(run(image, kind(tmp_path / name.format("plain"))))
    events = list(run(image, kind(tmp_path / name.format("spread")), client=client))
    assert read_tree(events[-1].output) == read_tree(plain)
    shown = [event for event in events if isinstance(event, Progressed)]
    assert (shown[0].total, shown[0].doing) == (4, "upscaling")
    hidden = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert not hidden


def test_workers_go_through_an_image_chunk_by_chunk(tmp_path, stack, client):
    """Where a chunk holds many planes, these are made one after the other."""
    pixels = stack.reshape(4, 96, 112)
    array = zarr.create_array(
        tmp_path / "in.zarr", shape=pixels.shape, chunks=(4, 32, 32), dtype=pixels.dtype
    )
    array[:] = pixels
    asked = UpscaleSettings(device="cpu", tile=32)
    outs = {}
    for name, who in (("plain", None), ("spread", client)):
        source = open_source(tmp_path / "in.zarr", axes="zyx")
        sink = OmeZarrSink(tmp_path / f"{name}.ome.zarr", chunk=32)
        model = load_model("bicubic")
        events = iter_upscale(source, model, sink, settings=asked, client=who)
        outs[name] = result_of(events)
    assert read_tree(outs["spread"]) == read_tree(outs["plain"])


def test_workers_leave_the_maps_and_scores_of_a_plain_inspection(
    tmp_path, image, client
):
    result = result_of(run(image, OmeZarrSink(tmp_path / "r.ome.zarr")))
    settings = InspectSettings(
        maps=("residual", "null_space", "squirrel"), device="cpu"
    )
    for name, who in (("plain", None), ("spread", client)):
        # to the very end, where the lock of the folder goes
        *_, last = iter_inspect(
            result, out=tmp_path / name, settings=settings, client=who
        )
        assert isinstance(last, Finished)
    found = read_tree(tmp_path / "spread")
    wanted = read_tree(tmp_path / "plain")
    assert found == wanted
    assert "scores.csv" in found


@pytest.fixture
def inspected(tmp_path, image):
    """Return a result of four planes, and how it is inspected."""
    result = result_of(run(image, OmeZarrSink(tmp_path / "r.ome.zarr")))
    settings = InspectSettings(maps=("residual", "squirrel"), device="cpu")
    return partial(iter_inspect, result, settings=settings)


@pytest.mark.parametrize("by_plane", [False, True])
def test_workers_score_planes_and_regions(
    tmp_path, client, inspected, monkeypatch, by_plane
):
    """Regions may lie elsewhere on each plane, and be missing on some."""
    regions = np.zeros((4, 192, 224), np.uint16)
    for plane in range(3):
        regions[plane, 20 : 90 + 20 * plane, 30:100] = 7
        regions[plane, 120:180, 60:200] = 900 - plane
    given = {
        "regions": regions if by_plane else regions[0],
        "region_names": {7: "nucleus"},
    }
    result_of(inspected(out=tmp_path / "plain", **given))
    where = []
    score = Scorer.score_plane

    def note_and_score(self, plane):
        where.append(get_worker().address)  # an error where none is
        return score(self, plane)

    monkeypatch.setattr(Scorer, "score_plane", note_and_score)
    events = list(inspected(out=tmp_path / "spread", client=client, **given))
    assert read_tree(tmp_path / "spread") == read_tree(tmp_path / "plain")
    assert "nucleus" in (tmp_path / "spread" / "scores.csv").read_text()
    assert len(where) == 4
    told = [
        event.done
        for event in events
        if isinstance(event, Progressed) and event.doing == "scoring"
    ]
    assert told == [1, 2, 3, 4]


def test_scores_that_workers_have_sent_are_not_computed_again(
    tmp_path, client, inspected, monkeypatch
):
    result_of(inspected(out=tmp_path / "plain"))
    # no more are sent than are worked on
    monkeypatch.setattr(engine_cluster, "_PER_THREAD", 1)
    cancel = Cancel()
    for event in inspected(out=tmp_path / "spread", client=client, cancel=cancel):
        if isinstance(event, Progressed) and event.doing == "scoring":
            cancel.set()
    assert isinstance(event, Cancelled)
    assert not (tmp_path / "spread" / "scores.csv").exists()
    again = []
    score = Scorer.score_plane
    monkeypatch.setattr(
        Scorer,
        "score_plane",
        lambda self, plane: again.append(plane) or score(self, plane),
    )
    # maps are finished, and workers are told where they lie
    result_of(inspected(out=tmp_path / "spread", client=client))
    assert len(again) < 4
    assert read_tree(tmp_path / "spread") == read_tree(tmp_path / "plain")


def test_a_worker_that_sees_other_maps_scores_nothing(
    tmp_path, client, inspected, monkeypatch
):
    """A folder of that name may lie on a disk of its own there."""
    settings = InspectSettings(maps=("residual",), device="cpu")
    result_of(inspected(out=tmp_path / "other", settings=settings))
    there = {"residual": tmp_path / "other" / "residual.ome.zarr"}
    monkeypatch.setattr(MapStores, "paths", there)
    with pytest.raises(ClusterError, match=r"sees other maps in .*residual.*same path"):
        result_of(inspected(out=tmp_path / "maps", client=client))
    assert not (tmp_path / "maps" / "scores.csv").exists()


def test_calls_of_one_line_take_a_client(tmp_path, image, client):
    choices = {"device": "cpu", "progress": False}
    spread = tmp_path / "spread.ome.zarr"
    plain = sr.upscale(image, tmp_path / "plain.ome.zarr", model="bicubic", **choices)
    sr.upscale(image, spread, model="bicubic", client=client, **choices)
    assert read_tree(spread) == read_tree(plain)
    choices |= {"source": image, "maps": "residual"}
    sr.inspect(plain, out=tmp_path / "maps", **choices)
    sr.inspect(plain, out=tmp_path / "spread maps", client=client, **choices)
    assert read_tree(tmp_path / "spread maps") == read_tree(tmp_path / "maps")
    with pytest.raises(ClusterError, match="give a folder for the maps"):
        sr.inspect(plain, client=client, **choices)
    for call in (sr.upscale, sr.inspect):
        with pytest.raises(TypeError, match=r"client is .* str; give a distributed"):
            call(image, client="tcp://127.0.0.1:8786")


def test_a_cancelled_run_goes_on_with_or_without_a_cluster(tmp_path, image, client):
    plain = result_of(run(image, OmeZarrSink(tmp_path / "plain.ome.zarr")))
    sink = OmeZarrSink(tmp_path / "spread.ome.zarr")
    cancel = Cancel()
    for event in run(image, sink, client=client, cancel=cancel):
        if isinstance(event, Progressed):
            cancel()
        last = event
    assert isinstance(last, Cancelled)
    assert read_tree(result_of(run(image, sink))) == read_tree(plain)


def test_what_only_this_process_has_is_refused_with_what_to_do(
    tmp_path, image, stack, client
):
    with pytest.raises(ClusterError, match="write to OME-Zarr or TIFF"):
        result_of(run(image, MemorySink(), client=client))
    sink = OmeZarrSink(tmp_path / "a.ome.zarr")
    with pytest.raises(ClusterError, match=r"numpy array.*write it"):
        result_of(run(stack[0], sink, client=client))
    with pytest.raises(ClusterError, match="give a folder"):
        result_of(iter_inspect(image, source=image, client=client))
    part = OmeZarrSink(tmp_path / "a.ome.zarr", part=RunPart(1, 2))
    with pytest.raises(ClusterError, match="give --part, or"):
        result_of(run(image, part, client=client))


@pytest.fixture
def job(tmp_path, image):
    given = ImageAndModel.of(open_source(image), load_model("faithful", factor=2))
    sink = OmeZarrSink(tmp_path / "out.ome.zarr")
    prepared = prepare_job(given, sink, SETTINGS)
    with sink.open(prepared.prepared.spec, prepared.record) as writer:
        yield prepared.fill(writer.store)


def test_a_worker_that_does_not_see_what_it_needs_says_so(tmp_path, job, monkeypatch):
    monkeypatch.setattr(batches, "name_worker", lambda: "the worker A on B")
    gone = ImagePath(str(tmp_path / "gone.tif"), {})
    with pytest.raises(ClusterError, match=r"worker A on B cannot open.*share"):
        replace(job, given=replace(job.given, image=gone)).open()
    with pytest.raises(ClusterError, match="another model of that name"):
        replace(job, given=replace(job.given, sha256="0" * 64)).open()
    place = StorePlace(tmp_path / "elsewhere.ome.zarr", job.stores["image"].layout)
    with pytest.raises(ClusterError, match=r"cannot see the result.*share"):
        run_batch(replace(job, stores={"image": place}), [0])
    missing = OmeZarrSink(tmp_path / "none" / "a.ome.zarr")
    with pytest.raises(ClusterError, match="cannot see the folder"):
        prepare_job(job.given, missing, SETTINGS)


def test_a_worker_that_would_compute_other_numbers_is_refused(job, image):
    record = replace(job.record, versions={**job.record.versions, "torch": "1.0"})
    other = replace(job, prepared=replace(job.prepared, record=record))
    with pytest.raises(ClusterError, match=r"torch .* where the run has 1\.0"):
        other.open()
    tifffile.imwrite(image, np.zeros((5, 96, 112), "u2"), photometric="minisblack")
    with pytest.raises(Exception, match="sees another image"):
        job.open()


def test_a_lost_scheduler_is_told_and_nothing_noted_is_lost(tmp_path, image):
    plain = result_of(run(image, OmeZarrSink(tmp_path / "plain.ome.zarr")))
    sink = OmeZarrSink(tmp_path / "spread.ome.zarr")
    options = {"dashboard_address": "127.0.0.1:0", "set_as_default": False}
    with Client(processes=False, n_workers=1, **options) as lost:
        events = run(image, sink, client=lost)
        for event in events:
            if isinstance(event, Progressed):
                break
        lost.close()
        with pytest.raises(ClusterError, match="start the same command again"):
            result_of(events)
    assert read_tree(result_of(run(image, sink))) == read_tree(plain)


def test_a_cluster_without_workers_waits_and_can_be_left(tmp_path, image):
    options = {"dashboard_address": "127.0.0.1:0", "set_as_default": False}
    with Client(processes=False, n_workers=0, **options) as empty:
        cancel = Cancel()
        sink = OmeZarrSink(tmp_path / "a.ome.zarr")
        events = run(image, sink, client=empty, cancel=cancel)
        first = next(events)
        assert isinstance(first, Noted)
        assert "waiting" in first.message
        cancel()
        assert list(events) == [Cancelled(0)]


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    with (
        pytest.raises(ClusterError, match="no scheduler answers at nowhere://1"),
        connection.open_client("nowhere://1", None),
    ):
        pass
    monkeypatch.setattr(connection.importlib.util, "find_spec", lambda _: None)
    with (
        pytest.raises(ClusterError, match=r"napari-structsr\[cluster\]"),
        connection.open_client(None, 1),
    ):
        pass


def test_who_answers_and_is_no_scheduler_is_not_waited_for(own_ports):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        own_ports.add(port)
        cancel = Cancel()
        cancel()
        for error, match, options in (
            (ClusterError, "nothing that dask says came in 0.5 s", {"timeout": 0.5}),
            (CancelError, "was cancelled", {"cancel": cancel}),
        ):
            with (
                pytest.raises(error, match=match),
                connection.open_client(f"tcp://127.0.0.1:{port}", None, **options),
            ):
                pass


def test_another_service_is_told_from_a_scheduler(own_ports):
    def greet(server):
        with server.accept()[0] as line:
            line.sendall(b"SSH-2.0-OpenSSH_9.6\r\n" * 3)
            line.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        own_ports.add(port)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(greet, server)
            with (
                pytest.raises(ClusterError, match="who answers there is no dask"),
                connection.open_client(f"tcp://127.0.0.1:{port}", None, timeout=5),
            ):
                pass


def test_a_worker_is_told_from_a_scheduler(client):
    [address, *_] = client.scheduler_info()["workers"]
    with (
        pytest.raises(ClusterError, match="a Worker of dask answers"),
        connection.open_client(address, None),
    ):
        pass


def test_what_was_said_of_an_image_since_it_was_opened_reaches_the_workers(
    tmp_path, image, client
):
    trees = []
    for name, who in (("plain", None), ("spread", client)):
        source = open_source(image)
        shown = (Channel("mine", "00FF00", (5, 900)),)
        source.spec = replace(source.spec, name="renamed", channels=shown)
        sink = OmeZarrSink(tmp_path / f"{name}.ome.zarr")
        model = load_model("bicubic", factor=2)
        events = iter_upscale(source, model, sink, settings=SETTINGS, client=who)
        trees.append(read_tree(result_of(events)))
    assert trees[0] == trees[1]
    assert b"00FF00" in trees[1]["zarr.json"]


def test_an_unknown_model_is_told_by_the_worker(tmp_path, image, client):
    model = load_model("faithful", factor=2)
    model.origin = "no model"
    sink = OmeZarrSink(tmp_path / "a.ome.zarr")
    with pytest.raises(ClusterError, match="cannot open the model no model"):
        result_of(iter_upscale(open_source(image), model, sink, client=client))
    assert issubclass(ModelError, Exception)
    assert not Path(sink.path).exists()


def test_workers_that_are_slow_to_end_do_not_fail_a_run(monkeypatch):
    class Slow:
        def __init__(self, *_, **__): ...

        def __enter__(self):
            return self

        def __exit__(self, *_):
            raise TimeoutError

        def register_worker_callbacks(self, _): ...

    monkeypatch.setattr("distributed.LocalCluster", Slow)
    monkeypatch.setattr("distributed.Client", Slow)
    with connection.open_client(None, workers=1):
        pass
    with pytest.raises(KeyError), connection.open_client(None, workers=1):
        raise KeyError("what else went wrong is told")
