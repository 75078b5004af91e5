"""The names of torchvision's files of ImageNet weights, as in third_party/weights.toml.

Messages name them; ferjax downloads none of them.
"""

FOLDER = "https://download.pytorch.org/models/"
FILES = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "vgg11": "vgg11-8a719046.pth",
    "vgg13": "vgg13-19584684.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "vgg11_bn": "vgg11_bn-6002323d.pth",
    "vgg13_bn": "vgg13_bn-abd245e5.pth",
    "vgg16_bn": "vgg16_bn-6c64b313.pth",
    "vgg19_bn": "vgg19_bn-c79401a0.pth",
}
_TRUNK_OF = {"vgg19_attention": "vgg19"}


def file_of(name: str, *, batch_norm: bool = False) -> str:
    """Returns the name of the ImageNet weights that a model starts from.

    Args:
      name: of the model, as for `models.create`.
      batch_norm: whether a VGG has batch norm; such VGGs have separate files.

    Returns:
      The name of the file, or "a file of NAME" if torchvision publishes none.
    """
    name = _TRUNK_OF.get(name, name)
    key = f"{name}_bn" if batch_norm and name.startswith("vgg") else name
    return FILES.get(key, f"a file of {key}")
