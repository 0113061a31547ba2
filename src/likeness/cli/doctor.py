"""``likeness doctor``"""

from __future__ import annotations

import typer

from likeness.cli.say import FAILED, note, plain_errors


def doctor() -> None:
    """What is installed, what each extra would add, what will be used, and a proof that the built-in model works."""
    from likeness import __version__
    from likeness.doctor import backends, core_versions, extras, prove

    typer.echo(f"likeness {__version__}")
    for name, found in core_versions().items():
        typer.echo(f"  {name:24} {found or 'MISSING'}")
    typer.echo("extras")
    for extra in extras():
        state = f"pip install 'likeness[{extra.name}]' ({', '.join(extra.missing)})" if extra.missing else "installed"
        typer.echo(f"  {extra.name:10} {extra.adds}: {state}")
    typer.echo("backends")
    for name, packages in backends().items():
        there = ", ".join(f"{package} {found}" for package, found in packages.items() if found)
        absent = [package for package, found in packages.items() if not found]
        state = f"pip install 'likeness[fast]' ({', '.join(absent)})" if absent else there
        typer.echo(f"  {name:10} {state}")
    with plain_errors():
        proof = prove()
    typer.echo(f"device {proof.device}, precision {proof.precision}, backend {proof.backend}")
    typer.echo(f"built-in model: a degraded picture restored in {proof.seconds:.2f} s, {proof.gain:+.1f} dB")
    if not proof.good:
        note("likeness: the built-in model does not improve a simple picture here; please report this output")
        raise typer.Exit(FAILED)
