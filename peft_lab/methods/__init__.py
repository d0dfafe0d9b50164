"""The built-in methods. Each file is written like a stranger's: it knows the contract and none of its neighbours."""

from __future__ import annotations

from collections.abc import Iterator

from pluggy_specs import Method, hookimpl


@hookimpl
def register_methods() -> Iterator[type[Method]]:
    """Offer the built-in methods; Hugging Face PEFT's own follow as ``peft:<type>``."""
    from peft_lab.methods.bitfit import BitFit
    from peft_lab.methods.full import Full
    from peft_lab.methods.head import Head

    yield from (Full, Head, BitFit)

    from peft_lab.methods.adapter import Adapter
    from peft_lab.methods.layers import Layers

    yield from (Layers, Adapter)

    from peft_lab.methods.hf_peft import peft_methods
    from peft_lab.methods.lora import Lora

    yield Lora

    from peft_lab.methods.anchor import Anchor
    from peft_lab.methods.apt import Apt
    from peft_lab.methods.prefix import Prefix

    yield from (Prefix, Apt, Anchor)

    from peft_lab.methods.selective import Selective
    from peft_lab.methods.sparse import Sparse
    from peft_lab.methods.tokenization import Tokenization

    yield from (Sparse, Tokenization, Selective)

    from peft_lab.methods.rft import Rft
    from peft_lab.methods.shad import Shad

    yield from (Shad, Rft)
    yield from peft_methods()
