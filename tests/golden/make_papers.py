"""Makes papers.npz, for make_golden.py: VGG, tam2021, luo2023 and the fusions of tran2023."""

import numpy as np
import torch
import torch.nn.functional as F

from . import cases_papers, torch_papers, weights

# Of float32's step from float64's, tensor by tensor; the tests ask 1e-3 of ferjax. Small moves of
# large tensors drift the most: (new - old) / learning rate has a hundred times the rounding of new.
MAX_STEP_DRIFT = 4e-4
# Another order of summation rounds otherwise, which weights that differ by this much stand for.
NUDGE, NUDGES = 1e-6, 5
# Tensors without any influence, as a bias before a batch norm: they move by rounding alone.
NOTHING = 1e-9


def build(case, dtype):
    """The PyTorch module of a case with its seeded weights."""
    state = case.state_dict()
    model = torch_papers.create(case.name, **case.arguments)
    own = {k: tuple(v.shape) for k, v in model.state_dict().items() if "num_batches" not in k}
    assert own == {k: v.shape for k, v in state.items()}, f"{case.key}: weights_papers.py is wrong"
    model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    return model.to(dtype)


def nchw(images, dtype):
    """A channels-last array as PyTorch wants it."""
    return torch.from_numpy(images).to(dtype).permute(0, 3, 1, 2)


def evaluate(case):
    """Logits and a summary of the features in evaluation mode, float64 [B, K + M]."""
    model = build(case, torch.float64)
    images, _ = case.inputs()
    with torch.no_grad():
        logits, features = model.eval()(nchw(images, torch.float64))
    return np.concatenate([logits.numpy(), cases_papers.summary(features.numpy())], axis=1)


def take_step(case, dtype, nudge=None):
    """(new - old) / learning rate of every trained tensor, and the new value of everything else.

    `nudge` is the seed of relative changes of all weights by up to NUDGE.
    """
    model = build(case, dtype)
    if nudge is not None:
        torch.manual_seed(nudge)
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(1 + NUDGE * (2 * torch.rand_like(p) - 1))
    model.train()
    trained = {k: p for k, p in model.named_parameters() if p.requires_grad}
    start = {k: p.detach().clone() for k, p in trained.items()}
    images, labels = case.inputs()
    optimizer = torch.optim.SGD(trained.values(), lr=cases_papers.LEARNING_RATE)
    logits, _ = model(nchw(images, dtype))
    F.cross_entropy(logits, torch.from_numpy(labels).long()).backward()
    optimizer.step()
    moves = {k: (p.detach() - start[k]) / cases_papers.LEARNING_RATE for k, p in trained.items()}
    rest = {k: v for k, v in model.state_dict().items() if k not in trained}
    return moves, {k: v.detach() for k, v in rest.items() if "num_batches" not in k}


def step(case):
    """Probes and norms, float64 [2, tensors], of the moves and of the rest, in order of names."""
    moves, rest = take_step(case, torch.float64)
    others = [take_step(case, torch.float32)[0]]
    others += [take_step(case, torch.float64, nudge)[0] for nudge in range(NUDGES)]
    drifts = {
        k: max(((other[k] - v).norm() / v.norm()).item() for other in others)
        for k, v in moves.items()
        if v.norm() > NOTHING
    }
    worst = max(drifts, key=drifts.get)
    print(f"{case.key}: rounding shifts a step by up to {drifts[worst]:.1e} ({worst})")
    assert drifts[worst] < MAX_STEP_DRIFT, "choose another seed"
    return {"moves": probes(moves), "rest": probes(rest)}


def probes(tensors):
    """Each tensor's product with its probe, and its norm."""
    arrays = {k: tensors[k].numpy().astype(np.float64) for k in sorted(tensors)}
    dots = [np.vdot(v, weights.probe(k, v.shape)) for k, v in arrays.items()]
    return np.array([dots, [np.linalg.norm(v) for v in arrays.values()]])


def papers():
    """The arrays of the file. Positions along the first axis are those of `cases_papers.CASES`."""
    golden = {
        "checksums": np.stack([case.checksums() for case in cases_papers.CASES]),
        "evaluation": np.stack([evaluate(case) for case in cases_papers.CASES]),
    }
    for case in cases_papers.CASES:
        if case.step:
            golden |= {f"{case.key}_{kind}": v for kind, v in step(case).items()}
    return {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in golden.items()}
