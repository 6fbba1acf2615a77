"""The recipe for nano: pictures, latent, words, and trainings that go on where they were."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, LCMScheduler, UNet2DConditionModel
from scipy.ndimage import distance_transform_cdt
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from cyclorama.engine.diffusion.tokenizer import ClipTokenizer
from cyclorama.export.lora import _layers
from training import autoencoder, dataset, denoiser, distil, latent, photos, scenes, state, subjects, vocabulary
from training.canvas import Canvas

# Words with a vector of their own; with the captions' more than the embedding is wide.
DICTIONARY = [
    "tree", "brown", "chair", "carpet", "river", "stone", "music", "apple", "paper", "morning",
    "woman", "school", "water", "market", "number", "summer", "window", "garden", "bread", "horse",
    "mountain", "bridge", "castle", "tower", "coffee", "animal", "dinner", "engine", "hotel", "island",
    "jacket", "kitchen", "letter", "metal", "notebook", "orange", "pocket", "queen", "radio", "silver",
    "table", "uncle", "valley", "winter", "yellow", "circle", "desert", "family",
]  # fmt: skip
SHAPES = {(64, 64): 1, (64, 96): 1}


def killed_after(step: int) -> Callable[..., None]:
    """`state.save`, and then the end of the process at that step."""
    save = state.save

    def save_and_die(path: Path, at: int, **parts: Any) -> None:
        save(path, at, **parts)
        if at == step:
            raise KeyboardInterrupt

    return save_and_die


def pictures(count: int, height: int = 64, width: int = 96) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([scenes.example(rng, height, width).picture for _ in range(count)])


@pytest.mark.parametrize("scene", scenes.SCENES)
@pytest.mark.parametrize(("height", "width"), [(96, 96), (96, 192), (200, 136)])
def test_every_scene_is_a_captioned_picture_of_any_shape(scene: str, height: int, width: int) -> None:
    one = scenes.example(np.random.default_rng(5), height, width, scene=scene)
    again = scenes.example(np.random.default_rng(5), height, width, scene=scene)
    other = scenes.example(np.random.default_rng(6), height, width, scene=scene)
    assert one.picture.shape == (height, width, 3)
    assert one.picture.dtype == np.float32
    assert 0 <= one.picture.min() <= one.picture.max() <= 1
    assert np.array_equal(one.picture, again.picture)
    assert one.caption == again.caption
    assert not np.array_equal(one.picture, other.picture)
    assert one.caption == one.caption.lower().strip() != ""


def test_there_are_scenes_enough_and_they_differ() -> None:
    assert len(scenes.SCENES) >= 25
    rng = np.random.default_rng(1)
    means = {
        name: np.mean([scenes.example(rng, 64, 64, scene=name).picture.mean((0, 1)) for _ in range(8)], 0)
        for name in ("stars", "snow", "lavender", "desert")
    }
    assert means["stars"].max() < 0.35 < means["snow"].min()
    assert means["lavender"][2] > means["lavender"][1]
    assert means["desert"][0] > means["desert"][2]


def test_photographs_are_free() -> None:
    assert len(photos.PHOTOS) >= 20
    for photo in photos.PHOTOS:
        assert photo.licence in ("CC0-1.0", "CC-BY-4.0")
        assert photo.author
        assert all(said == said.lower() for said in photo.captions)


def test_photographs_are_cropped_to_shape_and_the_held_out_part_stays_out(tmp_path: Path) -> None:
    """On a panorama and a wallpaper whose held-out part is white and the rest black."""
    for photo in (next(p for p in photos.PHOTOS if p.panorama), next(p for p in photos.PHOTOS if not p.panorama)):
        low, high = photos.HELD_OUT_TURN if photo.panorama else photos.HELD_OUT_WIDTH
        source = np.zeros((512, 1024, 3), np.float16 if photo.panorama else np.uint8)
        source[:, int(low * 1024) : int(high * 1024)] = 1 if photo.panorama else 255
        np.save(photos._stored(photo, tmp_path), source)
        rng = np.random.default_rng(0)
        for _ in range(20):
            crop, caption = photos.crop(photo, tmp_path, rng, 48, 64)
            assert crop.shape == (48, 64, 3)
            assert crop.dtype == np.float32
            assert crop.max() < 0.1
            assert caption in photo.captions
        held_out, _ = photos.crop(photo, tmp_path, rng, 48, 64, held_out=True)
        assert held_out.min() > 0.3


def test_subjects_leave_room_and_stand_in_the_frame() -> None:
    canvas = Canvas(np.random.default_rng(0), 96, 128)
    shares = [subjects.subject(canvas).mean() for _ in range(60)]
    assert 0.05 < np.mean(shares) < 0.4
    assert max(shares) < 0.85
    shape = subjects.vessel(canvas)
    filled = subjects.filled(canvas, shape, None)
    assert filled.shape == (96, 128, 3)
    assert 0 <= filled.min() <= filled.max() <= 1


def test_the_encoder_is_the_analytic_latent() -> None:
    shown = pictures(4) * 2 - 1
    vae = autoencoder.build()
    with torch.no_grad():
        latents = vae.encode(torch.from_numpy(shown).permute(0, 3, 1, 2)).latents.numpy()
    assert np.abs(latents - latent.encode(shown)).max() < 1e-4


def test_the_decoder_improves_and_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {(64, 96): (pictures(70) * 255).astype(np.uint8)}
    held_out = {(64, 96): torch.from_numpy(shown[64, 96][-32:]).permute(0, 3, 1, 2).float() / 127.5 - 1}
    before = autoencoder.evaluate(autoencoder.build(), held_out, "cpu")
    options: dict[str, Any] = {"batch": 4, "crop": 32}
    whole = autoencoder.train(shown, tmp_path / "whole", steps=40, **options)
    monkeypatch.setattr(autoencoder, "_SAVE_EVERY", 10)
    with monkeypatch.context() as patch:
        patch.setattr(state, "save", killed_after(20))
        with pytest.raises(KeyboardInterrupt):
            autoencoder.train(shown, tmp_path / "killed", steps=40, **options)
    after = autoencoder.train(shown, tmp_path / "killed", steps=40, **options)
    assert after == pytest.approx(whole, abs=1e-4)
    assert after > before


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny training set and its tokenizer."""
    folder = tmp_path_factory.mktemp("nano")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "SHAPES", SHAPES)
        patch.setattr(dataset, "CHUNK", 12)
        patch.setattr(scenes, "PHOTO_SHARE", 0.0)
        for task in dataset.tasks():
            (folder / "data").mkdir(exist_ok=True)
            dataset._draw(task, folder / "data", folder / "photos")
        buckets = dataset.load(folder / "data")
    captions = [said for bucket in buckets.values() for said in bucket.captions]
    words = vocabulary.choose(captions * 3, [*DICTIONARY, "seashorely"], size=400)
    vocabulary.write_tokenizer(words, folder / "tokenizer")
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "SHAPES", SHAPES)


@pytest.mark.usefixtures("small")
def test_the_training_set_comes_back_as_drawn(work: Path) -> None:
    buckets = dataset.load(work / "data")
    assert set(buckets) == set(SHAPES)
    for (height, width), bucket in buckets.items():
        assert bucket.latents.shape == (12, 4, height // 8, width // 8)
        assert bucket.masks.shape == (12, 1, height // 8, width // 8)
        assert len(bucket.captions) == 12
        shown = dataset.load_pictures(work / "data")[height, width] / np.float32(127.5) - 1
        # Apart by the dither and half a grey level alone.
        assert np.abs(latent.encode(shown.astype(np.float32)) - bucket.latents).max() < 0.1
        # What the mask keeps is the subject; where all eight by eight pixels are painted it is grey.
        nothing = latent.encode(np.zeros((1, 8, 8, 3), np.float32))[0, :, 0, 0]
        grey = np.abs(bucket.kept - nothing[None, :, None, None]).max(1) < 0.01
        assert grey[bucket.masks[:, 0]].mean() > 0.8
        assert grey[~bucket.masks[:, 0]].mean() < 0.1


def test_a_missing_training_set_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"python -m training draw"):
        dataset.load(tmp_path)


def test_every_word_is_one_token_and_the_runtime_reads_them_alike(work: Path) -> None:
    words = (work / "words.txt").read_text(encoding="utf-8").split()
    theirs, ours = CLIPTokenizer.from_pretrained(work / "tokenizer"), ClipTokenizer(work / "tokenizer")
    assert {"tree", "queen"} <= set(words)
    assert "seashorely" not in words
    for word in words:
        assert len(theirs.tokenize(word)) == 1, word
    for text in ("a beach, at SUNSET", "qwxyz beach", " ".join(words[:5])):
        assert ours(text)[0].tolist() == theirs(text, padding="max_length", max_length=vocabulary.LENGTH)["input_ids"]


def test_synonyms_lie_near_and_pieces_mean_nothing(work: Path) -> None:
    table, fixed = vocabulary.embeddings(work / "tokenizer")
    theirs = CLIPTokenizer.from_pretrained(work / "tokenizer")
    a, b, c = (table[theirs.convert_tokens_to_ids(f"{word}</w>")] for word in ("tree", "river", "queen"))
    assert not np.allclose(a, b)
    assert c @ c > 0
    assert fixed.sum() == len((work / "words.txt").read_text(encoding="utf-8").split())
    piece = theirs.convert_tokens_to_ids("q")
    assert not fixed[piece]
    assert not table[piece].any()
    embed = vocabulary.StaticEmbeddings()
    sea, ocean, stove = embed(["sea", "ocean", "stove"])
    assert sea @ ocean > sea @ stove


@pytest.fixture(scope="module")
def start(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint to go on from: a tiny text encoder and UNet, and the tokenizer of `work`."""
    folder = tmp_path_factory.mktemp("start")
    shutil.copytree(work / "tokenizer", folder / "tokenizer")
    tokens = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    torch.manual_seed(0)
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens), hidden_size=vocabulary.WIDTH, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=vocabulary.LENGTH, eos_token_id=tokens.eos_token_id,
        )
    ).save_pretrained(folder / "text_encoder")  # fmt: skip
    UNet2DConditionModel(
        sample_size=8, in_channels=9, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=vocabulary.WIDTH, attention_head_dim=(1, 2), norm_num_groups=4,
    ).save_pretrained(folder / "unet")  # fmt: skip
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    return dict(unet.state_dict())


@pytest.mark.usefixtures("small")
def test_a_killed_denoiser_training_ends_as_one_that_was_not(work: Path, start: Path, tmp_path: Path) -> None:
    def train(out: Path, steps: int, cooldown: int = 2) -> None:
        denoiser.train(work / "data", work / "tokenizer", out, steps=steps, cooldown=cooldown, cells=256, start=start)

    train(tmp_path / "killed", 4, cooldown=0)
    before = weights(tmp_path / "killed")
    train(tmp_path / "killed", 8)
    train(tmp_path / "whole", 8)
    after, whole = weights(tmp_path / "killed"), weights(tmp_path / "whole")
    assert all(torch.equal(after[name], whole[name]) for name in whole)
    assert any(not torch.equal(after[name], before[name]) for name in whole)


@pytest.mark.usefixtures("small")
def test_fixed_words_stay_fixed(work: Path) -> None:
    model = denoiser.build(work / "tokenizer")
    rows = model.text_encoder.text_model.embeddings.token_embedding.weight
    before = rows.detach().clone()
    optimizer = denoiser._optimizer(model, 1e-2)
    ids = denoiser.tokenize(work / "tokenizer", ["a carpet qx"])
    model(torch.randn(1, 9, 8, 8), torch.tensor([500]), ids).pow(2).sum().backward()
    optimizer.step()
    _, fixed = vocabulary.embeddings(work / "tokenizer")
    assert torch.equal(rows[torch.from_numpy(fixed)], before[torch.from_numpy(fixed)])
    assert not torch.equal(rows, before)


def test_going_on_keeps_the_words_and_wants_the_same(work: Path, start: Path, tmp_path: Path) -> None:
    model = denoiser.build(work / "tokenizer", start)
    assert not model.text_encoder.text_model.embeddings.token_embedding.weight.requires_grad
    saved = CLIPTextModel.from_pretrained(start / "text_encoder").state_dict()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.text_encoder.state_dict().items())
    vocabulary.write_tokenizer(["other", "words"], tmp_path / "tokenizer")
    with pytest.raises(ValueError, match="other words"):
        denoiser.build(tmp_path / "tokenizer", start)


def test_half_precision_is_near_full(work: Path, start: Path) -> None:
    model = denoiser.build(work / "tokenizer", start)
    x, ids = torch.randn(2, 9, 16, 16), denoiser.tokenize(work / "tokenizer", ["a tree", "a river"])
    with torch.no_grad():
        full = model(x, torch.tensor([100, 900]), ids)
        with denoiser.half_precision("cpu", True):
            half = model(x, torch.tensor([100, 900]), ids)
    assert half.dtype == torch.bfloat16
    assert 0 < (half.float() - full).abs().max() < 0.05 * full.abs().max()


@pytest.mark.usefixtures("small")
def test_distillation_writes_a_lora_that_export_fuses(work: Path, start: Path, tmp_path: Path) -> None:
    denoiser.train(work / "data", work / "tokenizer", tmp_path, steps=2, cooldown=0, cells=256, start=start)
    (tmp_path / "data").symlink_to(work / "data")
    (tmp_path / "tokenizer").symlink_to(work / "tokenizer")
    before = weights(tmp_path)
    distil.train(tmp_path, tmp_path / "lora.safetensors", steps=3, rank=4, cells=256)
    layers = dict(_layers(str(tmp_path / "lora.safetensors")))
    assert len(layers) == sum(name.endswith("weight") and tensor.ndim > 1 for name, tensor in before.items())
    assert {name for name in layers if "conv_in" in name} == {"unet_conv_in"}
    assert any(
        layer.change(before["conv_in.weight"].shape).abs().max() > 0
        for name, layer in layers.items()
        if name == "unet_conv_in"
    )


def test_the_change_that_is_trained_is_the_change_that_is_saved(start: Path, tmp_path: Path) -> None:
    unet = UNet2DConditionModel.from_pretrained(start / "unet")
    original = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    changes = distil.add_lora(unet, 4)
    for change in changes.values():
        torch.nn.init.normal_(change.up)
    shapes = {name: original[f"{name}.weight"].shape for name in changes}
    distil.save_lora(changes, shapes, tmp_path / "lora.safetensors")
    for name, layer in _layers(str(tmp_path / "lora.safetensors")):
        module = next(m for n, m in unet.named_modules() if f"unet_{n.replace('.', '_')}" == name)
        dotted = next(n for n in changes if f"unet_{n.replace('.', '_')}" == name)
        expected = original[f"{dotted}.weight"] + layer.change(shapes[dotted])
        assert torch.allclose(module.weight, expected, atol=2e-2, rtol=2e-3)  # stored as float16


@pytest.mark.usefixtures("small")
def test_the_loss_is_nothing_for_who_predicts_v(work: Path) -> None:
    """A model that solves x = alpha z + sigma noise for v, from the z that `draw` gives for the same seed."""
    (bucket, *_) = dataset.load(work / "data").values()
    examples = denoiser.Examples(bucket, work / "tokenizer", "cpu")
    scheduler = DDPMScheduler(**denoiser.SCHEDULE)
    z, _, masks, kept, _ = examples.draw(6, torch.Generator().manual_seed(3))

    def knows(x: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        assert x.shape == (6, 9, 8, 8)
        assert ids.shape == (6, vocabulary.LENGTH)
        assert torch.equal(x[:, 4:5], masks)
        assert torch.equal(x[:, 5:], kept)
        a = scheduler.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        noise = (x[:, :4] - a.sqrt() * z) / (1 - a).sqrt()
        v: torch.Tensor = a.sqrt() * noise - (1 - a).sqrt() * z
        return v

    loss = denoiser._loss(knows, examples, 6, scheduler, torch.Generator().manual_seed(3))
    assert loss < 1e-6
    wrong = denoiser._loss(lambda *inputs: -knows(*inputs), examples, 6, scheduler, torch.Generator().manual_seed(3))
    assert wrong > 0.1


@pytest.mark.usefixtures("small")
def test_what_is_drawn_shows_the_subject_where_it_is_kept(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bucket, *_) = dataset.load(work / "data").values()
    examples = denoiser.Examples(bucket, work / "tokenizer", "cpu")
    monkeypatch.setattr(denoiser, "_UNMASKED", 0.0)
    monkeypatch.setattr(denoiser, "_UNCAPTIONED", 1.0)
    z, weights, masks, kept, ids = examples.draw(8, torch.Generator().manual_seed(0))
    assert 0 < masks.mean() < 1
    away = np.stack([distance_transform_cdt(1 - mask[0].numpy(), "chessboard") for mask in masks])[:, None]
    painted = torch.from_numpy(away <= 2).expand_as(z)  # the hole and two cells around it
    assert torch.equal(z[~painted], kept[~painted])
    assert (z != kept)[painted].float().mean() > 0.99
    assert set(weights[torch.from_numpy(away <= 2)].tolist()) == {1.0}
    assert 0 < weights.min() < 1
    assert torch.equal(ids, examples.empty.expand(8, -1))
    monkeypatch.setattr(denoiser, "_UNMASKED", 1.0)
    _, _, masks, kept, _ = examples.draw(8, torch.Generator().manual_seed(0))
    grey = latent.encode(np.zeros((1, 8, 8, 3), np.float32))[0]
    assert masks.min() == 1
    assert torch.allclose(kept, torch.from_numpy(grey).expand_as(kept))


def test_the_teachers_way_is_dpm_solvers() -> None:
    """With a teacher whose guided answer is known, held against diffusers' scheduler over the same timesteps."""
    scheduler = DPMSolverMultistepScheduler(**denoiser.SCHEDULE)
    scheduler.set_timesteps(timesteps=list(distil._WAY))
    torch.manual_seed(0)
    x, condition = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 8, 8)

    def v(x: torch.Tensor, t: int, guided: bool) -> torch.Tensor:
        return torch.sin(x * (2 if guided else 1)) * t / 1000

    def teacher(inputs: torch.Tensor, t: int, *_: Any, **__: Any) -> tuple[torch.Tensor]:
        assert torch.equal(inputs[:2], inputs[2:])
        assert torch.equal(inputs[:2, 4:], condition)
        return (torch.cat([v(inputs[:2, :4], t, True), v(inputs[:2, :4], t, False)]),)

    points, end = distil._Distillation(teacher, None, None, scheduler.alphas_cumprod).way(
        x, condition, torch.zeros(4, 1, 1), 3.0
    )
    expected, visited = x, []
    for t in scheduler.timesteps:
        if int(t) in distil._VISITED:
            visited.append(expected)
        plain = v(expected, int(t), False)
        expected = scheduler.step(plain + 3 * (v(expected, int(t), True) - plain), t, expected).prev_sample
    assert torch.allclose(end, expected, atol=1e-4)
    assert all(torch.allclose(ours, theirs, atol=1e-4) for ours, theirs in zip(points, visited, strict=True))
    lcm = LCMScheduler(**denoiser.SCHEDULE)
    lcm.set_timesteps(4)
    assert lcm.timesteps.tolist() == list(distil._VISITED)


def test_the_student_lands_where_lcms_sampler_looks() -> None:
    """c_skip, c_out and x0 from v, held against diffusers' LCMScheduler."""
    scheduler = LCMScheduler(**denoiser.SCHEDULE)
    scheduler.set_timesteps(4)
    torch.manual_seed(0)
    x, condition, v = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 8, 8), torch.randn(1, 4, 8, 8)
    teller = distil._Distillation(None, lambda *_, **__: (v,), None, scheduler.alphas_cumprod)
    for t in scheduler.timesteps:
        landed = teller._land(x, condition, t[None], teller._alpha(t[None]), torch.zeros(1))
        expected = scheduler.step(v, t, x, generator=torch.Generator().manual_seed(0)).denoised
        assert torch.allclose(landed, expected, atol=1e-5)
    clean = teller._land(x, condition, torch.tensor([0]), torch.ones(1, 1, 1, 1), torch.zeros(1))
    assert torch.equal(clean, x)


@pytest.mark.usefixtures("small")
def test_distilling_another_teacher_starts_anew(work: Path, start: Path, tmp_path: Path) -> None:
    denoiser.train(work / "data", work / "tokenizer", tmp_path, steps=1, cooldown=0, cells=128, start=start)
    (tmp_path / "data").symlink_to(work / "data")
    (tmp_path / "tokenizer").symlink_to(work / "tokenizer")
    lora = tmp_path / "lora.safetensors"
    distil.train(tmp_path, lora, steps=2, rank=2, cells=128)
    first = lora.read_bytes()
    lora.unlink()
    distil.train(tmp_path, lora, steps=2, rank=2, cells=128)
    assert lora.read_bytes() == first  # done already, and written all the same
    assert len(list(tmp_path.glob("distil-*.pt"))) == 1
    denoiser.train(work / "data", work / "tokenizer", tmp_path, steps=7, cooldown=0, cells=128, start=start)
    distil.train(tmp_path, lora, steps=2, rank=2, cells=128)
    assert lora.read_bytes() != first
