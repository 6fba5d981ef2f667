"""What every network has to offer, and that one that lacks a part is found out."""

import pytest
import torch

from registration_cases import Standin, grid_about, picture
from RobustDIRLib.errors import InputError
from RobustDIRLib.networks.build import KINDS, build_network, network_config
from RobustDIRLib.networks.network import LearningNetwork, Network
from RobustDIRLib.registration.register import register

SMALL = {
    "pyramid": {"encoder": [4, 4], "decoder": [4, 4], "depth": [1, 1], "radius": [1, 1], "squarings": 2},
    "unet": {"channels": 4, "squarings": 2},
    "cascade": {"channels": [4, 4], "squarings": 2},
}


@pytest.fixture(params=sorted(KINDS))
def network(request):
    torch.manual_seed(2)
    return build_network({"kind": request.param, **SMALL[request.param]}).eval()


def test_every_kind_offers_all_of_it(network):
    assert isinstance(network, LearningNetwork)
    assert isinstance(network, Network)
    assert network.bytes_per_voxel > 0
    assert network_config(build_network(network_config(network))) == network_config(network)


def test_levels_of_every_kind_go_from_coarse_to_fine_and_stop_where_asked(network):
    pair = torch.rand(2, 1, 1, *(n * network.multiple for n in (9, 7, 8)), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        levels, first = network.levels(*pair), network.levels(*pair, 1)
    sizes = [u.displacement.numel() for u in levels]
    assert sizes == sorted(sizes)
    assert len(first) == 1
    torch.testing.assert_close(first[0].displacement, levels[0].displacement)


def test_a_network_that_lacks_a_part_cannot_be_made():
    class Forgetful(LearningNetwork):
        bytes_per_voxel = multiple = 1

        def forward(self, fixed, moving):
            raise NotImplementedError

    with pytest.raises(TypeError, match="levels"):
        Forgetful()


def test_what_is_no_network_is_refused_before_anything_is_computed():
    assert isinstance(Standin(), Network)
    image = picture(grid_about(torch.zeros(3).numpy(), (13, 17, 15), (4.9, 4.4, 5.3), (0, 0, 0)))
    with pytest.raises(InputError, match="bytes_per_voxel"):
        register(image, image, lambda fixed, moving: 1 / 0)
