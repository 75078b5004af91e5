"""Makes the golden files beside it. Needs PyTorch, which no test does: pip install torch==2.13.0

    python -m tests.golden.make_golden [--fer2013=fer2013.zip] [--only=NAME]

Everything is computed in float64 from float32 weights and inputs, so the files hold the true values
and a float32 implementation is asked for its own rounding alone. The training losses are computed
in float32 as well: the two must agree five times better than the tests ask of ferjax, or the case
is chaotic and its golden file would judge luck. The FER2013 case is made when the zip is given (the
folder form, train/<class>/*.jpg).
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F

from . import cases, cases_papers, make_papers, numpy_losses, weights
from .torch_models import ResNet

# Of float32 from float64: of a loss in a training run, of a tensor of gradients in one step.
MAX_DRIFT = 2e-4
MAX_GRADIENT_DRIFT = 5e-4
# And of how far a tensor moves in a run: a ReLU decided the other way turns small gradients a lot.
MAX_MOVE_DRIFT = 2e-3


def build(network, dtype):
    """The PyTorch module of a case with its seeded weights, and their checksum."""
    state = network.state_dict()
    model = ResNet(
        network.name,
        stem=network.stem,
        attention=network.attention,
        channels=network.channels,
        width=network.width,
    )
    own = {k: tuple(v.shape) for k, v in model.state_dict().items() if "num_batches" not in k}
    assert own == {k: v.shape for k, v in state.items()}, "weights.py disagrees with the module"
    model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    return model.to(dtype), weights.checksum(state)


def nchw(images, dtype):
    """A channels-last array as PyTorch wants it."""
    return torch.from_numpy(images).to(dtype).permute(0, 3, 1, 2)


def probes(arrays):
    """Sorted names, each array's product with its probe, and each array's norm."""
    names = sorted(arrays)
    values = [arrays[n].detach().numpy() for n in names]
    dots = [np.vdot(v, weights.probe(n, v.shape)) for n, v in zip(names, values, strict=True)]
    return {
        "names": np.array(names),
        "dots": np.array(dots),
        "norms": np.array([np.linalg.norm(v) for v in values]),
    }


def forward(case):
    """One forward case; with `backward` the statistics and gradients of one training step too."""
    model, weights_crc = build(case.network, torch.float64)
    images, labels = case.inputs()
    with torch.no_grad():
        logits, features = model.eval()(nchw(images, torch.float64))
    golden = {
        "weights_crc": np.uint32(weights_crc),
        "inputs_crc": np.uint32(weights.checksum({"images": images, "labels": labels})),
        "eval_logits": logits.numpy(),
        "eval_features": features.numpy().astype(np.float32),
    }
    return golden | backward(case, images, labels) if case.backward else golden


def backward(case, images, labels):
    """Training mode: outputs, running statistics, gradients of the cross-entropy."""
    gradients = {}
    for dtype in (torch.float32, torch.float64):
        model, _ = build(case.network, dtype)
        logits, features = model.train()(nchw(images, dtype))
        F.cross_entropy(logits, torch.from_numpy(labels).long()).backward()
        gradients[dtype] = {k: p.grad for k, p in model.named_parameters()}
    for name, exact in gradients[torch.float64].items():
        drift = (gradients[torch.float32][name] - exact).norm() / exact.norm()
        assert drift < MAX_GRADIENT_DRIFT, f"{case.key}: {name} drifts by {drift:.1e}"
    statistics = {k: v for k, v in model.named_buffers() if "num_batches" not in k}
    return {
        "train_logits": logits.detach().numpy(),
        "train_features": features.detach().numpy().astype(np.float32),
        **{f"statistics_{k}": v for k, v in probes(statistics).items()},
        **{f"gradients_{k}": v for k, v in probes(gradients[torch.float64]).items()},
    }


def island_loss(features, labels, centers, pairwise_weight):
    """1/(2B) sum |x - c_y|^2 + lambda_1 sum_(j != k) (cos(c_j, c_k) + 1)."""
    distance = (features - centers[labels]).square().sum() / (2 * len(labels))
    unit = F.normalize(centers, dim=1)
    cosines = unit @ unit.T
    off_diagonal = ~torch.eye(len(centers), dtype=torch.bool)
    return distance + pairwise_weight * (cosines[off_diagonal] + 1).sum()


def train(case, images, labels, dtype):
    """Losses of every step, float64 [steps], the last centres, and how far each parameter moved."""
    model, _ = build(case.network, dtype)
    start = {k: p.detach().clone() for k, p in model.named_parameters()}
    model.train()
    kernels = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [
            {"params": kernels, "weight_decay": case.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=case.learning_rate,
        momentum=case.momentum,
        nesterov=False,
    )
    centers = torch.from_numpy(case.centers()).to(dtype)
    losses = []
    for step_images, step_labels in zip(images, labels, strict=True):
        y = torch.from_numpy(step_labels).long()
        logits, features = model(nchw(step_images, dtype))
        loss = F.cross_entropy(logits, y)
        if case.island:
            loss = loss + case.weight * island_loss(features, y, centers, case.pairwise_weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if case.island:
            moved = numpy_losses.update_centers_rule(
                centers.numpy(),
                features.detach().numpy(),
                step_labels,
                case.alpha,
                case.pairwise_weight,
            )
            centers = torch.from_numpy(moved).to(dtype)
        losses.append(loss.item())
    moves = {k: p.detach() - start[k] for k, p in model.named_parameters()}
    return np.array(losses), centers.numpy(), moves


def training(case, images, labels):
    """One training case, after a check that float32 follows float64."""
    losses, centers, moves = train(case, images, labels, torch.float64)
    single, _, single_moves = train(case, images, labels, torch.float32)
    drift = np.max(np.abs(single / losses - 1))
    print(f"{case.key}: {losses.round(4)}, float32 drifts by {drift:.1e}")
    assert drift < MAX_DRIFT, f"{case.key} is chaotic: float32 drifts by {drift:.1e}"
    golden = {
        "weights_crc": np.uint32(weights.checksum(case.network.state_dict())),
        "inputs_crc": np.uint32(weights.checksum({"images": images, "labels": labels})),
        "losses": losses,
        "float32_drift": np.abs(single / losses - 1),
        "centers": centers.astype(np.float32) if case.island else np.zeros(0, np.float32),
        "mean_std": np.array([cases.FER2013_MEAN, cases.FER2013_STD]),
    }
    if case.moves:
        for name, move in moves.items():
            drift = (single_moves[name] - move).norm() / move.norm()
            assert drift < MAX_MOVE_DRIFT, f"{case.key}: {name} drifts by {drift:.1e}"
        golden |= {f"moves_{k}": v for k, v in probes(moves).items()}
    return golden


def save(key, arrays):
    """Writes one golden file and says how large it is."""
    path = cases.DIRECTORY / f"{key}.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {path.stat().st_size / 1000:.1f} kB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fer2013", help="FER2013 as the folder zip")
    parser.add_argument("--only", default="", help="make the files whose names contain this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for case in cases.FORWARD:
        if arguments.only in case.key:
            save(case.key, forward(case))
    if arguments.only in cases_papers.FILE:
        save(cases_papers.FILE, make_papers.papers())
    for case in (cases.TRAINING_SOFTMAX, cases.TRAINING_ISLAND):
        if arguments.only in case.key:
            save(case.key, training(case, *case.random_batches()))
    if arguments.fer2013 and arguments.only in cases.TRAINING_FER2013.key:
        case = cases.TRAINING_FER2013
        save(case.key, training(case, *case.fer2013_batches(arguments.fer2013)))


if __name__ == "__main__":
    main()
