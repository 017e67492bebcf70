"""The implementations that the contract of `Transport` holds for."""

import functools

import pytest

from support_transport import NETS, InprocNet, Stage, play, study_of


@pytest.fixture(params=NETS)
def on_stage(request, tmp_path):
    """Return a runner of scenes over one implementation after the other."""
    return functools.partial(play, NETS[request.param], tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Return the outcome of a run in which nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")

    async def scene(net):
        async with Stage(net, study_of("abc")) as stage:
            stage.work_all("abc")
            return await stage.coordinator().answer()

    return play(InprocNet, folder, scene)
