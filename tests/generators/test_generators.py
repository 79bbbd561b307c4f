"""Every generator keeps the contract; DCGAN is the paper's, learns, and goes on where it was killed."""

import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from support import small_models
from support.small_models import create_generator as create
from torch import nn

from mlproject import generators, models
from mlproject.core.errors import TooFewImages, UserError
from mlproject.evaluation import generation_quality
from mlproject.evaluation.generation_quality import Reference
from mlproject.generators import dcgan
from mlproject.training import checkpoints
from mlproject.training.batches import random_source
from mlproject.training.run_options import RunOptions

GIVEN = small_models.GIVEN["generators"]


def bytes_of(generator):
    return b"".join(array.tobytes() for _, array in sorted(generator.state().items()))


@pytest.fixture(scope="module")
def trained(small_images):
    generator = create()
    generator.history = generator.fit(small_images.train, RunOptions(seed=0))
    return generator


@pytest.mark.parametrize("name", generators.names())
def test_settings_of_every_generator_are_those_of_its_section(name):
    assert set(GIVEN[name]) == set(create(name).Parameters.model_fields)


def test_no_generator_has_the_name_of_a_detector():
    """Their files would lie in one folder."""
    assert not set(generators.names()) & set(models.names())


def test_a_name_that_is_not_there_gets_the_nearest():
    with pytest.raises(UserError, match="Did you mean dcgan"):
        generators.create("dcgann", {})


def test_samples_are_images_that_depend_on_the_seed_and_not_on_their_number(trained):
    few, many, other = trained.sample(3, 0), trained.sample(40, 0), trained.sample(3, 1)
    assert (few.shape, few.dtype) == ((3, 64, 64, 3), np.uint8)
    assert np.array_equal(few, many[:3])
    assert not np.array_equal(few, other)


def test_equal_seeds_give_equal_weights(trained, small_images):
    again, other = create(), create()
    assert again.fit(small_images.train, RunOptions(seed=0)) == trained.history
    other.fit(small_images.train, RunOptions(seed=1))
    assert bytes_of(again) == bytes_of(trained)
    assert bytes_of(other) != bytes_of(trained)


def test_what_is_loaded_samples_the_same(trained, tmp_path):
    trained.save(tmp_path / "model")
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["generator.json", "weights.safetensors"]
    assert np.array_equal(generators.load(tmp_path / "model").sample(3, 0), trained.sample(3, 0))


def test_a_folder_without_a_generator_is_said(trained, tmp_path):
    with pytest.raises(UserError, match=r"generator\.json: not found"):
        generators.load(tmp_path / "absent")
    trained.save(tmp_path / "model")
    (tmp_path / "model/weights.safetensors").write_bytes(b"\x80\x04no pickle is read")
    with pytest.raises(UserError, match="is no readable weights file"):
        generators.load(tmp_path / "model")
    trained.save(tmp_path / "model")
    description = json.loads((tmp_path / "model/generator.json").read_text())
    description["settings"]["filters"] = 5
    (tmp_path / "model/generator.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match="does not fit"):
        generators.load(tmp_path / "model")


@pytest.mark.parametrize("stop_after", [1, 2])
def test_stopped_and_run_again_ends_with_the_same_weights(stop_after, small_images, tmp_path):
    straight, stopped, resumed, seen = create(epochs=3), create(epochs=3), create(epochs=3), []
    history = straight.fit(small_images.train, RunOptions(seed=0))

    def stop(epoch):
        if epoch.number == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.fit(small_images.train, RunOptions(seed=0, checkpoint=tmp_path / "c", on_epoch=stop))
    again = resumed.fit(
        small_images.train,
        RunOptions(seed=0, checkpoint=tmp_path / "c", on_epoch=lambda e: seen.append(e.number)),
    )
    assert seen == list(range(stop_after + 1, 4))
    assert again == history
    assert bytes_of(resumed) == bytes_of(straight)


def test_a_checkpoint_is_read_without_running_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return shutil.rmtree, (tmp_path,)

    torch.save({"history": Evil()}, tmp_path / "c")
    with pytest.raises(Exception, match="weights_only"):
        checkpoints.read(tmp_path / "c")
    assert tmp_path.is_dir()


def channels(size, filters):
    """Channels of the feature maps, the widest map first: doubled at each halving."""
    return [filters * 2**step for step in range({32: 3, 64: 4, 128: 5}[size])]


@pytest.mark.parametrize(
    ("size", "filters", "latent"), [(32, 16, 100), (64, 16, 100), (128, 8, 100), (64, 4, 10)]
)
def test_parameter_counts_in_closed_form(size, filters, latent):
    settings = create(image_size=size, filters=filters, latent=latent).settings
    widths = channels(size, filters)
    pairs = sum(a * b for a, b in itertools.pairwise(widths))
    made = 16 * (latent * widths[-1] + pairs + 3 * widths[0]) + 2 * sum(widths)
    discriminating = 16 * (3 * widths[0] + pairs + widths[-1]) + 2 * sum(widths[1:])
    assert sum(p.numel() for p in dcgan.build_generator(settings).parameters()) == made
    assert sum(p.numel() for p in dcgan.build_discriminator(settings).parameters()) == discriminating


def test_at_full_size_it_is_the_network_that_everyone_knows():
    """3,576,704 and 2,765,568 parameters: the counts of PyTorch's own DCGAN example (64 px, 64 filters)."""
    settings = create(filters=64).settings
    counts = [
        sum(p.numel() for p in network.parameters())
        for network in (dcgan.build_generator(settings), dcgan.build_discriminator(settings))
    ]
    assert counts == [3_576_704, 2_765_568]


@pytest.mark.parametrize("size", [32, 64, 128])
def test_networks_follow_the_papers_rules(size):
    settings = create(image_size=size).settings
    generator, discriminator = dcgan.build_generator(settings), dcgan.build_discriminator(settings)
    kinds = {type(layer) for layer in generator}
    assert kinds == {nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU, nn.Tanh}
    assert {type(layer) for layer in discriminator} == {nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU}
    assert {layer.negative_slope for layer in discriminator if isinstance(layer, nn.LeakyReLU)} == {0.2}
    image = generator(torch.zeros(2, 100, 1, 1))
    assert image.shape == (2, 3, size, size)
    assert discriminator(image).shape == (2, 1, 1, 1)


def test_weights_are_drawn_with_a_spread_of_002():
    network = dcgan.build_generator(create(filters=64).settings)
    torch.manual_seed(0)
    dcgan.initialise(network)
    weights = network[0].weight
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert network[1].weight.mean().item() == pytest.approx(1, abs=0.01)


def test_it_learns_what_the_images_are(small_images):
    """Real brackets of the sample: in seconds, with steps larger than the paper's, it finds their shape."""
    images = small_images.train
    generator, reference = (
        create(epochs=12, filters=8, batch_size=2, learning_rate=0.001),
        Reference.of(images),
    )

    def distances():
        made = generator.sample(48, 0)
        from_mean_image = np.abs(made.mean(axis=0) - images.mean(axis=0)).mean()
        return from_mean_image, generation_quality.measure(made, reference)["frechet"]["generated"]

    before = distances()
    generator.fit(images, RunOptions(seed=0))
    after = distances()
    assert after[0] < before[0] / 1.5
    assert after[1] < before[1] / 1.5


def test_instance_noise_makes_the_two_harder_to_tell_apart(small_images):
    def gap(spread):
        last = create(epochs=5, instance_noise=spread).fit(small_images.train, RunOptions(seed=0))[-1]
        return last["belief_in_real"] - last["belief_in_generated"]

    assert gap(1.0) < gap(0) / 2


def test_what_cannot_be_learnt_from_is_said(small_images):
    generator, images = create(batch_size=16), small_images.train
    with pytest.raises(TooFewImages, match=r"15 images .* batch of 16.*generators.dcgan.batch_size"):
        generator.fit(images[:15], RunOptions(seed=0))
    with pytest.raises(UserError, match=r"32 px are smaller .* 64"):
        generator.fit(images[:, ::2, ::2], RunOptions(seed=0))
    with pytest.raises(UserError, match=r"one colour, \(7, 8, 9\)"):
        generator.fit(np.full_like(images, 0) + np.array([7, 8, 9], np.uint8), RunOptions(seed=0))


def test_a_loss_that_is_not_finite_is_said_with_its_epoch(small_images):
    with pytest.raises(UserError, match=r"diverged in epoch 1.*learning_rate"):
        create(learning_rate=1e30).fit(small_images.train, RunOptions(seed=0))


def test_a_random_source_depends_on_every_number():
    draws = {torch.rand(1, generator=random_source(a, b)).item() for a in (0, 1) for b in (0, 1)}
    assert len(draws) == 4
