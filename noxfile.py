"""The tests on each supported Python that the machine has."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run the whole suite."""
    session.install("-e", ".[bench,test]")
    session.run("python", "-m", "pytest", "-n", "auto", *session.posargs)
