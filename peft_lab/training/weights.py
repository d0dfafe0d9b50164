"""What a run keeps of a model: the tensors that were trained, what adapters added, nothing of the base model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.errors import RunProblem, nearest

if TYPE_CHECKING:
    import torch

    from peft_lab.training.build import Built

VALUES, INDICES = "::values", "::indices"


def base_tensors(model: torch.nn.Module) -> dict[int, torch.Tensor]:
    """The tensors of a base model by identity. Holding them keeps their identities from being used again."""
    return {id(t): t for t in (*model.parameters(), *model.buffers())}


def own_tensors(built: Built) -> dict[str, torch.Tensor]:
    """Tensors to keep, by present name: whole trained parameters, and all that a method added, frozen or not.

    Frozen additions (the random projections of VeRA, say) are kept too: a file must not depend on how another version
    of torch draws random numbers. Tied parameters are kept once.
    """
    masked = built.masked.names if built.masked else set()
    persistent = set(built.model.state_dict(keep_vars=True))
    kept: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in (*built.model.named_parameters(), *built.model.named_buffers()):
        added = id(tensor) not in built.base and name in persistent
        if name not in masked and (tensor.requires_grad or added):
            kept.setdefault(id(tensor), (name, tensor))
    return dict(kept.values())


def save_weights(built: Built, file: Path) -> int:
    """Write the kept tensors atomically; return the size in bytes."""
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().contiguous() for name, tensor in own_tensors(built).items()}
    for name, indices, values in built.masked or ():
        tensors[name + VALUES], tensors[name + INDICES] = values, indices
    unfinished = file.with_suffix(".tmp")
    save_file(_unshared(tensors), unfinished, metadata={"format": "pt", "by": "peft_lab"})
    unfinished.replace(file)
    return file.stat().st_size


def load_weights(built: Built, file: Path) -> None:
    """Put kept tensors back, strictly.

    Raises:
        RunProblem: a tensor is missing, unexpected, or of another shape; the first one is named.
    """
    import torch

    found = read_tensors(file)
    own = own_tensors(built)
    expected = set(own)
    for name, _, _ in built.masked or ():
        expected |= {name + VALUES, name + INDICES}
    for name in sorted(expected ^ set(found)):
        what = "lacks" if name in expected else "holds the unexpected"
        raise RunProblem(f"{file.name} {what} tensor {name!r}", nearest(name, found if name in expected else expected))
    with torch.no_grad():
        for name, tensor in own.items():
            if tensor.shape != found[name].shape:
                shapes = f"{tuple(found[name].shape)}, not {tuple(tensor.shape)}"
                raise RunProblem(f"tensor {name!r} of {file.name} is {shapes}", "The base model or the options differ")
            tensor.copy_(found[name])
        if built.masked:
            for part in built.masked.parts:
                if not torch.equal(found[part.name + INDICES], part.indices.cpu()):
                    raise RunProblem(f"{file.name} masks other entries of {part.name!r} than this recipe")
                part.parameter.data.put_(part.indices.long(), found[part.name + VALUES].to(part.parameter.device))
            built.masked.read()


def read_tensors(file: Path) -> Mapping[str, torch.Tensor]:
    """All tensors of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except FileNotFoundError:
        raise RunProblem(
            f"{file} is missing", "The run ended before its first evaluation, or the file was removed"
        ) from None
    except SafetensorError as error:
        raise RunProblem(f"{file} is damaged ({error})", "Train again, or restore the file from a copy") from None


def saved_masks(file: Path) -> dict[str, torch.Tensor]:
    """The masks a file was trained with, so that nothing has to be calibrated again."""
    return {n[: -len(INDICES)]: t for n, t in read_tensors(file).items() if n.endswith(INDICES)}


def _unshared(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy tensors that lie in another one's memory, which safetensors refuses to write."""
    seen: set[int] = set()
    out = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        out[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return out
