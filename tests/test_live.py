"""The live page's server: it answers its own page and nobody else, and streams predictions as they are made."""

import http.client
import json
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.view.live import running
from prpose.view.page import live_page
from tests.page_files import data_of, unpacked
from tests.videos import picture, write_video

PAGE = live_page("a clip")


@contextmanager
def answer(server, path=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    path = f"/{server.token}/" if path is None else path
    connection.request("GET", path, headers={"Host": f"127.0.0.1:{server.server_port}"} | (headers or {}))
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def events(response):
    """(kind, data) of server-sent events until the end of the stream's sender."""
    kind = None
    while line := response.readline():
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            kind = text.removeprefix("event: ")
        elif text.startswith("data: "):
            yield kind, json.loads(text.removeprefix("data: "))
            if kind == "end":
                return


def test_the_page_is_served_at_its_address_only():
    with running(PAGE) as server:
        assert server.address == f"http://127.0.0.1:{server.server_port}/{server.token}/"
        assert server.server_address[0] == "127.0.0.1"
        with answer(server) as response:
            assert (response.status, response.read()) == (200, PAGE.html.encode())
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Frame-Options"] == "DENY"
        for path in ("/", f"/{server.token}", "/stream", f"/{'A' * len(server.token)}/", f"/{server.token}/../"):
            with answer(server, path) as response:
                assert response.status == 404, path
    with running(PAGE) as other:
        assert other.token != server.token
        assert len(other.token) >= 20


@pytest.mark.parametrize("path", ["", "stream"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Host": "example.org"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_origins_and_hosts_are_refused(path, headers):
    with running(PAGE) as server, answer(server, f"/{server.token}/{path}", headers) as response:
        assert response.status == 403


def test_the_own_origin_is_accepted():
    with running(PAGE) as server:
        own = {"Origin": f"http://127.0.0.1:{server.server_port}", "Sec-Fetch-Site": "same-origin"}
        with answer(server, headers=own) as response:
            assert response.status == 200
        with answer(server, headers={"Host": f"localhost:{server.server_port}"}) as response:
            assert response.status == 200


def test_other_methods_are_refused():
    with running(PAGE) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        connection.request("POST", f"/{server.token}/", b"x")
        assert connection.getresponse().status == 501
        connection.close()


def test_every_browser_gets_the_messages_in_order_and_the_end():
    with running(PAGE) as server:
        path = f"/{server.token}/stream"
        with answer(server, path) as one, answer(server, path) as other:
            assert one.headers["Content-Type"] == "text/event-stream"
            while len(server.clients) < 2:
                time.sleep(0.01)
            for n in range(20):
                server.send(json.dumps({"n": n}).encode())
            server.close()
            for response in (one, other):
                found = list(events(response))
                assert found[-1] == ("end", {})
                assert [content["n"] for kind, content in found[:-1]] == list(range(20))


def test_a_slow_browser_loses_the_oldest_messages():
    with running(PAGE) as server, answer(server, f"/{server.token}/stream"):
        while not server.clients:
            time.sleep(0.01)
        (client,) = server.clients
        with server.lock:  # the sender waits for nobody
            client.messages.extend(b"%d" % n for n in range(100))
            assert len(client.messages) == 30


def watch(args, monkeypatch, capsys):
    """Runs ``prpose view`` with a browser; returns exit code, the page's data and its messages, and what is printed."""
    found = []

    def browse(address):
        def read():
            host, _, rest = address.removeprefix("http://").partition("/")
            connection = http.client.HTTPConnection(host, timeout=60)
            connection.request("GET", f"/{rest}")
            found.append(data_of(connection.getresponse().read().decode()))
            connection.request("GET", f"/{rest}stream")
            found.extend(events(connection.getresponse()))
            connection.close()

        thread.append(threading.Thread(target=read))
        thread[0].start()

    thread = []
    monkeypatch.setattr("webbrowser.open", browse)
    code = guarded(lambda: run([str(arg) for arg in args]))
    for one in thread:
        one.join()
    return code, found, capsys.readouterr()


def test_keypoints_are_predicted_live(monkeypatch, capsys):
    args = ["view", "examples/walk_openpose", "--image-size", 1000, 1002, "--fps", 300, "--serve", "-n", 4]
    code, (data, *messages), printed = watch([*args, "--model", "mgcn-cmu17"], monkeypatch, capsys)
    assert code == 0
    assert data["live"]
    assert messages.pop() == ("end", {})
    frames = [content for _, content in messages]
    assert frames[0]["number"] == 0
    assert np.all(np.diff([frame["number"] for frame in frames]) > 0)
    assert unpacked(frames[0]["people"][0]["samples"]).shape == (1, 4, 17, 3)
    assert "http://127.0.0.1:" in printed.out


def test_video_is_predicted_live_with_its_images(tmp_path, monkeypatch, capsys):
    write_video(tmp_path / "a.mp4", [picture(100 + n) for n in range(6)])
    args = [
        "view",
        tmp_path / "a.mp4",
        "--serve",
        "--detector",
        "tests.videos:Finder",
        "--model",
        "mgcn-cmu17",
        "-n",
        3,
    ]
    code, (_, *messages), printed = watch([*args, "--config.allow-implausible"], monkeypatch, capsys)
    assert (code, printed.err) == (0, "")
    frames = [content for kind, content in messages if kind == "message"]
    assert [frame["number"] for frame in frames] == list(range(6))
    assert all(frame["image"] for frame in frames)
    assert frames[3]["seconds"] > frames[2]["seconds"]


def test_implausible_frames_are_reported_once(tmp_path, monkeypatch, capsys):
    write_video(tmp_path / "a.mp4", [picture(100 + n) for n in range(4)])
    args = ["view", tmp_path / "a.mp4", "--serve", "--detector", "tests.test_live:Upside", "--model", "mgcn-cmu17"]
    code, (_, *messages), printed = watch(args, monkeypatch, capsys)
    assert (code, messages) == (0, [("end", {})])
    assert printed.err.count("warning: frame 0:") == 1
    assert printed.err.count("\n") == 1


class Upside:
    """A detector of a person who stands on the head."""

    layout = "coco17"

    def __call__(self, image, time_s):
        from tests.videos import BODY

        return [(np.array([160, 120]) - BODY, np.full(17, 0.9))]


def test_a_taken_port_is_an_error(monkeypatch, capsys):
    with running(PAGE) as server:
        args = ["view", "examples/walk_openpose", "--image-size", 1000, 1002, "--serve", "--port", server.server_port]
        code, _, printed = watch([*args, "--model", "mgcn-cmu17"], monkeypatch, capsys)
    assert code == 1
    assert "in use" in printed.err
