"""ResNet-18/34 with SE or CBAM, stated in PyTorch without a look at ferjax.

The graph and the parameter names are torchvision's (He et al. 2016). An attention block follows the
last BatchNorm of a residual block and precedes the addition (Hu et al. 2018; Woo et al. 2018).
Images are NCHW here. N images, C channels, D features, K classes.
"""

import torch
import torch.nn.functional as F
from torch import nn

REDUCTION = 16
LAYERS = {"resnet10": [1, 1, 1, 1], "resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3]}


class SqueezeExcitation(nn.Module):
    """x * sigmoid(W2 relu(W1 gap(x) + b1) + b2) per channel."""

    def __init__(self, planes, *, bias=True):
        super().__init__()
        hidden = max(planes // REDUCTION, 1)
        self.fc1 = nn.Linear(planes, hidden, bias=bias)
        self.fc2 = nn.Linear(hidden, planes, bias=bias)

    def forward(self, x):
        gate = torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3))))))
        return x * gate[:, :, None, None]


class ChannelGate(nn.Module):
    """x * sigmoid(mlp(average over space) + mlp(maximum over space)), one mlp for both."""

    def __init__(self, planes):
        super().__init__()
        self.fc1 = nn.Linear(planes, planes // REDUCTION)
        self.fc2 = nn.Linear(planes // REDUCTION, planes)

    def forward(self, x):
        # amax shares the gradient of tied maxima equally, whatever their order.
        pooled = (x.mean(dim=(2, 3)), x.amax(dim=(2, 3)))
        average, maximum = (self.fc2(F.relu(self.fc1(p))) for p in pooled)
        return x * torch.sigmoid(average + maximum)[:, :, None, None]


class SpatialGate(nn.Module):
    """x * sigmoid(BN(conv7x7([max over channels, mean over channels]))), the maximum first."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1, eps=1e-5, momentum=0.01)

    def forward(self, x):
        maps = torch.stack([x.amax(dim=1), x.mean(dim=1)], dim=1)
        return x * torch.sigmoid(self.bn(self.conv(maps)))


class Cbam(nn.Module):
    """The channel gate, then the spatial gate on its result."""

    def __init__(self, planes):
        super().__init__()
        self.channel = ChannelGate(planes)
        self.spatial = SpatialGate()

    def forward(self, x):
        return self.spatial(self.channel(x))


class BasicBlock(nn.Module):
    """relu(attention(bn2(conv2(relu(bn1(conv1(x)))))) + shortcut(x))."""

    def __init__(self, inplanes, planes, stride, attention):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        if attention == "se":
            self.se = SqueezeExcitation(planes)
        elif attention == "cbam":
            self.cbam = Cbam(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )
        self.attention = attention

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.attention == "se":
            out = self.se(out)
        elif self.attention == "cbam":
            out = self.cbam(out)
        return F.relu(out + shortcut)


class ResNet(nn.Module):
    """Images [N, C, H, W] -> logits [N, K] and the pooled features [N, D], D = 8 * width.

    stem: "imagenet" is 7x7/2 and a 3x3/2 max-pool, "small" 3x3/1, "half" 3x3/2, both without pool.
    """

    def __init__(self, name, *, stem, attention, channels, width=64, num_classes=7):
        super().__init__()
        kernel, stride = {"imagenet": (7, 2), "small": (3, 1), "half": (3, 2)}[stem]
        self.conv1 = nn.Conv2d(
            channels, width, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else None
        inplanes = width
        for stage, count in enumerate(LAYERS[name]):
            planes = width << stage
            blocks = []
            for index in range(count):
                blocks.append(
                    BasicBlock(inplanes, planes, 2 if stage and not index else 1, attention)
                )
                inplanes = planes
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inplanes, num_classes)

    def feature_map(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return x

    def forward(self, x):
        features = self.feature_map(x).mean(dim=(2, 3))
        return self.fc(features), features
