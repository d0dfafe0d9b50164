"""What a run keeps of a model: the tensors that were trained, what adapters added, nothing of the base model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from peft_lab.errors import RunProblem, nearest
from peft_lab.files import replacing
from peft_lab.training.journal import system_error

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


def kept_tensors(built: Built) -> dict[str, torch.Tensor]:
    """All that a file of the run holds: own tensors, and of masked parameters the chosen entries with their places."""
    tensors = {name: tensor.detach() for name, tensor in own_tensors(built).items()}
    for name, indices, values in built.masked or ():
        tensors[name + VALUES], tensors[name + INDICES] = values, indices
    return tensors


def save_weights(built: Built, file: Path) -> int:
    """Write the kept tensors atomically; return the size in bytes."""
    write_tensors(kept_tensors(built), file)
    return file.stat().st_size


def write_tensors(tensors: Mapping[str, torch.Tensor], file: Path, header: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file so that a reader sees the old content or the new, never half of it.

    Raises:
        OSError: there is no room, or the folder cannot be written to.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    whole = _unshared({name: tensor.contiguous() for name, tensor in tensors.items()})
    try:
        with replacing(file) as unfinished:
            save_file(whole, unfinished, metadata={"format": "pt", "by": "peft_lab", **(header or {})})
    except SafetensorError as error:  # its way of passing on what the system said
        raise system_error(error, file) from error


def load_weights(built: Built, file: Path) -> None:
    """Put kept tensors back, strictly.

    Raises:
        RunProblem: a tensor is missing, unexpected, or of another shape; the first one is named.
    """
    put_tensors(built, read_tensors(file), file.name)


def put_tensors(built: Built, found: Mapping[str, torch.Tensor], file: str) -> None:
    """Put tensors of a file of that name into the model, strictly.

    Raises:
        RunProblem: a tensor is missing, unexpected, or of another shape; the first one is named.
    """
    import torch

    held = {torch.float32, torch.bfloat16}  # what is trained in one may be held in the other
    own = own_tensors(built)
    expected = set(own)
    for name, _, _ in built.masked or ():
        expected |= {name + VALUES, name + INDICES}
    for name in sorted(expected ^ set(found)):
        what = "lacks" if name in expected else "holds the unexpected"
        raise RunProblem(f"{file} {what} tensor {name!r}", nearest(name, found if name in expected else expected))
    with torch.no_grad():
        for name, tensor in own.items():
            if tensor.dtype != found[name].dtype and {tensor.dtype, found[name].dtype} - held:
                kinds = f"{str(found[name].dtype)[6:]}, not {str(tensor.dtype)[6:]}"
                raise RunProblem(
                    f"tensor {name!r} of {file} is {kinds}", "Train again, or restore the file from a copy"
                )
            if tensor.shape != found[name].shape:
                shapes = f"{tuple(found[name].shape)}, not {tuple(tensor.shape)}"
                raise RunProblem(f"tensor {name!r} of {file} is {shapes}", "The base model or the options differ")
            tensor.copy_(found[name])
        if built.masked:
            for part in built.masked.parts:
                if not torch.equal(found[part.name + INDICES], part.indices.cpu()):
                    raise RunProblem(f"{file} masks other entries of {part.name!r} than this recipe")
                part.parameter.data.put_(part.indices.long(), found[part.name + VALUES].to(part.parameter.device))
            built.masked.read()


def read_tensors(file: Path) -> Mapping[str, torch.Tensor]:
    """All tensors of a safetensors file.

    Raises:
        RunProblem: it is missing or damaged.
    """
    from safetensors.torch import load_file

    with _readable(file):
        return load_file(file)


def read_header(file: Path) -> Mapping[str, str]:
    """The text in the header of a safetensors file.

    Raises:
        RunProblem: it is missing or damaged.
    """
    from safetensors import safe_open

    with _readable(file), safe_open(file, "pt") as opened:
        return opened.metadata() or {}


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """What goes wrong with a file inside, in words."""
    from safetensors import SafetensorError

    try:
        yield
    except FileNotFoundError:
        raise _missing(file) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(file, error) from None


def _missing(file: Path) -> RunProblem:
    return RunProblem(f"{file} is missing", "The run ended before its first evaluation, or the file was removed")


def _damaged(file: Path, error: Exception) -> RunProblem:
    said = " ".join(str(error).split())
    return RunProblem(f"{file} is damaged ({said})", "Train again, or restore the file from a copy")


def saved_masks(file: Path) -> dict[str, torch.Tensor]:
    """The masks a file was trained with, so that nothing has to be calibrated again."""
    from safetensors import safe_open

    with _readable(file), safe_open(file, "pt") as opened:
        return {n[: -len(INDICES)]: opened.get_tensor(n) for n in opened.keys() if n.endswith(INDICES)}  # noqa: SIM118


def saved_whole(file: Path) -> set[str]:
    """Names of the tensors that a file keeps whole."""
    from safetensors import safe_open

    with _readable(file), safe_open(file, "pt") as opened:
        return {name for name in opened.keys() if not name.endswith((VALUES, INDICES))}  # noqa: SIM118


def _unshared(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy tensors that lie in another one's memory, which safetensors refuses to write."""
    seen: set[int] = set()
    out = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        out[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return out
