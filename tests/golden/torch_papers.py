"""VGG, tam2021, luo2023 and the fusions of tran2023, stated in PyTorch without a look at ferjax.

Written from the papers' specification alone. Parameter names are torchvision's where it has the
network. Every model maps images [N, C, H, W] to logits [N, K] and features [N, D], the input of the
last dense layer. T tokens.
"""

import torch
import torch.nn.functional as F
from torch import nn

from .torch_models import LAYERS, ResNet, SqueezeExcitation

# Simonyan & Zisserman 2015, table 1, columns A, B, D, E; "M" is a 2x2 max-pool.
PLANS = {
    "vgg11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg13": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg16": [64] * 2 + ["M"] + [128] * 2 + ["M"] + ([256] * 3 + ["M"]) + ([512] * 3 + ["M"]) * 2,
    "vgg19": [64] * 2 + ["M"] + [128] * 2 + ["M"] + ([256] * 4 + ["M"]) + ([512] * 4 + ["M"]) * 2,
}


def vgg_layers(name, *, channels, width, batch_norm):
    """torchvision's `features`: conv 3x3, (BN,) ReLU for every number, a pool for every "M"."""
    layers = []
    for entry in PLANS[name]:
        if entry == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        planes = entry * width // 64
        layers.append(nn.Conv2d(channels, planes, 3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(planes))
        layers.append(nn.ReLU())
        channels = planes
    return nn.Sequential(*layers)


class Vgg(nn.Module):
    """torchvision's VGG; the features are the 4096 activations before the last dense layer."""

    def __init__(
        self, name, *, channels, width=64, batch_norm=False, dropout=0.5, num_classes=7, **_
    ):
        super().__init__()
        self.features = vgg_layers(name, channels=channels, width=width, batch_norm=batch_norm)
        hidden = 4096 * width // 64
        self.classifier = nn.Sequential(
            nn.Linear(512 * width // 64 * 7 * 7, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )

    def feature_map(self, x):
        return self.features(x)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.feature_map(x), (7, 7)).flatten(1)
        features = self.classifier[:-1](x)
        return self.classifier[-1](features), features


class VggAttention(nn.Module):
    """tam2021: A = sigmoid(conv7x7([mean over C, max over C])) is appended to pool5's channels.

    attention: "concat" appends A, "multiply" multiplies by it, "none" leaves pool5 alone. The map
    is flattened by row, column, channel: the order of channels-last arrays.
    """

    def __init__(
        self,
        *,
        channels,
        image_size,
        width=64,
        attention="concat",
        attention_bias=False,
        batch_norm=False,
        dropout=0.5,
        num_classes=7,
    ):
        super().__init__()
        self.attention = attention
        self.features = vgg_layers("vgg19", channels=channels, width=width, batch_norm=batch_norm)
        if attention != "none":
            self.spatial = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=attention_bias)
        planes = 512 * width // 64 + (attention == "concat")
        hidden = 4096 * width // 64
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear((image_size // 32) ** 2 * planes, hidden)
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, x):
        x = self.features(x)
        if self.attention != "none":
            maps = torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1)
            gate = torch.sigmoid(self.spatial(maps))
            x = x * gate if self.attention == "multiply" else torch.cat([x, gate], dim=1)
        x = self.dropout(x.permute(0, 2, 3, 1).flatten(1))
        features = F.relu(self.fc1(x))
        return self.fc2(features), features


class SeCnnBlock(nn.Module):
    """Twice conv 3x3, (BN,) ReLU, then a 2x2 max-pool; SE after the second or after both."""

    def __init__(self, inplanes, planes, *, attention, se_position, se_bias, batch_norm):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, padding=1)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1)
        # Keras's batch norm: eps 1e-3, and a decay of 0.99.
        if batch_norm:
            self.bn1 = nn.BatchNorm2d(planes, eps=1e-3, momentum=0.01)
            self.bn2 = nn.BatchNorm2d(planes, eps=1e-3, momentum=0.01)
        if attention == "se":
            self.se2 = SqueezeExcitation(planes, bias=se_bias)
            if se_position == "conv":
                self.se1 = SqueezeExcitation(planes, bias=se_bias)

    def forward(self, x):
        for index in "12":
            x = getattr(self, f"conv{index}")(x)
            if hasattr(self, f"bn{index}"):
                x = getattr(self, f"bn{index}")(x)
            x = F.relu(x)
            if hasattr(self, f"se{index}"):
                x = getattr(self, f"se{index}")(x)
        return F.max_pool2d(x, 2)


class SeCnn(nn.Module):
    """luo2023: three blocks of width, 2 width, 4 width; flattened by row, column, channel."""

    def __init__(
        self,
        *,
        channels,
        image_size,
        width=64,
        attention="se",
        se_position="block",
        se_bias=True,
        batch_norm=True,
        num_classes=7,
    ):
        super().__init__()
        options = {"attention": attention, "se_position": se_position, "se_bias": se_bias}
        blocks, inplanes = [], channels
        for planes in (width, 2 * width, 4 * width):
            blocks.append(SeCnnBlock(inplanes, planes, batch_norm=batch_norm, **options))
            inplanes = planes
        self.blocks = nn.ModuleList(blocks)
        self.fc1 = nn.Linear((image_size // 8) ** 2 * inplanes, 4 * width)
        self.fc2 = nn.Linear(4 * width, num_classes)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        features = F.relu(self.fc1(x.permute(0, 2, 3, 1).flatten(1)))
        return self.fc2(features), features


def whole_trunk(name, *, channels, width, stem, batch_norm=False):
    """A complete classifier with a `feature_map`, its last convolutional map."""
    if name in PLANS:
        return Vgg(name, channels=channels, width=width, batch_norm=batch_norm)
    assert name in LAYERS
    return ResNet(name, stem=stem, attention="none", channels=channels, width=width)


def trunk(name, **options):
    """The same without its classifier."""
    model = whole_trunk(name, **options)
    if name in PLANS:
        del model.classifier
    else:
        del model.fc
    return model


def pool(feature_map):
    """[N, D, H, W] -> [N, D], the mean over positions."""
    return feature_map.mean(dim=(2, 3))


class TwoTrunks(nn.Module):
    """What fusions share: two headless trunks, frozen (evaluation mode, no gradient) or not."""

    def __init__(self, trunks, *, channels, width, stem, frozen, batch_norm):
        super().__init__()
        options = {"channels": channels, "width": width, "stem": stem, "batch_norm": batch_norm}
        self.trunk1 = trunk(trunks[0], **options)
        self.trunk2 = trunk(trunks[1], **options)
        self.frozen = frozen
        if frozen:
            for parameter in (*self.trunk1.parameters(), *self.trunk2.parameters()):
                parameter.requires_grad_(False)

    def train(self, mode=True):
        super().train(mode)
        if self.frozen:
            self.trunk1.eval()
            self.trunk2.eval()
        return self


class ConcatFusion(TwoTrunks):
    """Early (frozen) and joint (trained) fusion: both pooled vectors, one dense layer."""

    def __init__(
        self,
        *,
        trunks,
        channels,
        frozen,
        width=64,
        stem="imagenet",
        batch_norm=False,
        num_classes=7,
        **_,
    ):
        options = {"channels": channels, "width": width, "stem": stem, "batch_norm": batch_norm}
        super().__init__(trunks, frozen=frozen, **options)
        self.fc = nn.Linear(2 * 8 * width, num_classes)

    def forward(self, x):
        maps = (self.trunk1.feature_map(x), self.trunk2.feature_map(x))
        features = torch.cat([pool(m) for m in maps], dim=1)
        return self.fc(features), features


class LateFusion(nn.Module):
    """The log of the mean of two classifiers' softmaxes; nothing is trained."""

    def __init__(
        self, *, trunks, channels, width=64, stem="imagenet", batch_norm=False, num_classes=7, **_
    ):
        super().__init__()
        assert num_classes == 7
        options = {"channels": channels, "width": width, "stem": stem, "batch_norm": batch_norm}
        self.trunk1 = whole_trunk(trunks[0], **options)
        self.trunk2 = whole_trunk(trunks[1], **options)

    def forward(self, x):
        both = (self.trunk1, self.trunk2)
        first, second = (model(x)[0].softmax(dim=1) for model in both)
        features = torch.cat([pool(model.feature_map(x)) for model in both], dim=1)
        return torch.log((first + second) / 2), features


class LocalAttention(nn.Module):
    """Tokens [N, T, D]: y = conv1d_k3(fc2(relu(fc1(x)))); x + sigmoid(y) * x, or x + y ungated."""

    def __init__(self, width, *, gate):
        super().__init__()
        self.gate = gate
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)
        self.conv = nn.Conv1d(width, width, kernel_size=3, padding=1)

    def forward(self, x):
        y = self.fc2(F.relu(self.fc1(x)))
        y = self.conv(y.transpose(1, 2)).transpose(1, 2)
        return x + torch.sigmoid(y) * x if self.gate else x + y


class AttentionFusion(TwoTrunks):
    """tran2023: V = (MLP([f1; f2]) + f1 + f2) / 3, (softmax(Q K^T / sqrt(d)) V) * V, then local.

    tokens: "space" are a sample's positions, "channel" the entries of its pooled vector (width 1),
    "batch" the pooled vectors of all samples. feature "pooled" leaves one token of width D.
    """

    def __init__(
        self,
        *,
        trunks,
        channels,
        width=64,
        stem="imagenet",
        batch_norm=False,
        tokens="space",
        feature="map",
        projections=False,
        local_attention=True,
        local_gate=True,
        frozen=True,
        num_classes=7,
        **_,
    ):
        options = {"channels": channels, "width": width, "stem": stem, "batch_norm": batch_norm}
        super().__init__(trunks, frozen=frozen, **options)
        depth = 8 * width
        self.tokens, self.feature, self.projections = tokens, feature, projections
        self.mlp1 = nn.Linear(2 * depth, depth)
        self.mlp2 = nn.Linear(depth, depth)
        if projections:
            size = 1 if tokens == "channel" else depth
            self.query = nn.Linear(size, size)
            self.key = nn.Linear(size, size)
        self.local = LocalAttention(depth, gate=local_gate) if local_attention else None
        self.fc = nn.Linear(depth, num_classes)

    def inputs(self, x):
        """Both trunks' tokens, [N, T, D] each."""
        first, second = self.trunk1.feature_map(x), self.trunk2.feature_map(x)
        if self.tokens != "space" or self.feature == "pooled":
            return pool(first)[:, None], pool(second)[:, None]
        if first.shape[2] < second.shape[2]:
            first = enlarge(first, second.shape[2:])
        elif first.shape[2] > second.shape[2]:
            second = enlarge(second, first.shape[2:])
        return first.flatten(2).transpose(1, 2), second.flatten(2).transpose(1, 2)

    def self_attention(self, first, second):
        """[N, T, D] twice -> [N, T, D]."""
        value = self.mlp2(F.relu(self.mlp1(torch.cat([first, second], dim=2))))
        value = (value + first + second) / 3

        def arranged(x):
            if self.tokens == "channel":
                return x.transpose(1, 2)  # [N, D, 1]: D tokens of width 1
            if self.tokens == "batch":
                return x.transpose(0, 1)  # [1, N, D]: the batch is the sequence
            return x

        query, key, v = arranged(first), arranged(second), arranged(value)
        if self.projections:
            query, key = self.query(query), self.key(key)
        scores = query @ key.transpose(1, 2) / query.shape[2] ** 0.5
        attended = (scores.softmax(dim=2) @ v) * v
        return arranged(attended)  # each arrangement is its own inverse

    def forward(self, x):
        attended = self.self_attention(*self.inputs(x))
        if self.local is not None:
            attended = self.local(attended)
        features = attended.mean(dim=1)
        return self.fc(features), features


def enlarge(feature_map, size):
    return F.interpolate(feature_map, size=tuple(size), mode="bilinear", align_corners=False)


def create(name, *, channels, image_size, width, **options):
    """The model that ferjax calls `name`, with the same options."""
    options = {"channels": channels, "image_size": image_size, "width": width, **options}
    if name in PLANS:
        return Vgg(name, **options)
    if name == "vgg19_attention":
        return VggAttention(**options)
    if name == "se_cnn":
        return SeCnn(**options)
    if name == "attention_fusion":
        return AttentionFusion(**options)
    if name == "late_fusion":
        return LateFusion(**options)
    return ConcatFusion(frozen={"early_fusion": True, "joint_fusion": False}[name], **options)
