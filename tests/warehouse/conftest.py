"""An object store of this machine, for the tests of warehouses in one."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="module")
def server():
    """Address of an S3 server of this machine."""
    moto = pytest.importorskip("moto.server", reason="there is no S3 server to test on")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path):
    """An empty bucket, its keys in the environment; the system to look into it."""
    s3fs = pytest.importorskip("s3fs", reason="the extra s3 is not installed")

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    given = {
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "a-very-secret-key",
        "AWS_ENDPOINT_URL": server,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    system = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    if system.exists("measured"):
        system.rm("measured", recursive=True)
    system.mkdir("measured")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "first"))
    return system
