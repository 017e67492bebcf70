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
        stage = Stage(net, folder, study_of(("a", "b", "c")))
        try:
            for site in stage.study.sites:
                stage.work(site)
            return await stage.coordinator().answer()
        finally:
            await stage.close()

    return play(InprocNet, folder, scene)
