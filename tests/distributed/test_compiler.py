"""What the compiler of each platform is told."""

from ferjax.distributed import compiler


def test_options_of_a_platform():
    assert compiler.options("tpu") == {"xla_tpu_scoped_vmem_limit_kib": "65536"}
    assert compiler.options("cpu") is None and compiler.options("gpu") is None
