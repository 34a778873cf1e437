"""Ablations of contrastive knowledge transfer on Ray: which parts of a recipe matter, and by how much.

From a notebook::

    import cktf

    study = cktf.load_study("study.yaml")    # or cktf.Study(baseline={...}, ablate={...}, seeds=5)
    for epoch in cktf.train(study.arm("baseline"), seed=3):
        print(epoch.epoch, epoch.validation_accuracy)
    cktf.launch(study, "runs/x")             # cktf.resume("runs/x"); cktf.extend("runs/x", study=larger)
    results = cktf.load("runs/x")            # as analysis.load
    results.effects                          # every arm against the baseline
    student = cktf.load_student("runs/x", arm="baseline", seed=3)    # a module: images -> logits

These names are imported where they are first used, so that ``import cktf`` loads nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.loading import load
    from cktf.driver import extend, launch, resume
    from cktf.run.students import load_student
    from cktf.study.load import Study, load_study
    from cktf.trial.run import run_trial as train

    __version__: str

__all__ = ["Study", "extend", "launch", "load", "load_student", "load_study", "resume", "train"]

_HOMES = {
    "Study": ("cktf.study.load", "Study"),
    "extend": ("cktf.driver", "extend"),
    "launch": ("cktf.driver", "launch"),
    "load": ("analysis.loading", "load"),
    "load_student": ("cktf.run.students", "load_student"),
    "load_study": ("cktf.study.load", "load_study"),
    "resume": ("cktf.driver", "resume"),
    "train": ("cktf.trial.run", "run_trial"),
}
"""Exported name to the module that it is imported from, and its name there."""

if not TYPE_CHECKING:  # a type checker would accept any attribute of the module

    def __getattr__(name: str) -> Any:
        """Return an exported name, importing its module, or ``__version__``, the installed package's version.

        Raises:
            UserError: If another module called ``analysis`` hides the one that `load` is in.
        """
        if name == "__version__":
            from importlib.metadata import version

            return version("cktf")
        if name not in _HOMES:
            raise AttributeError(f"module 'cktf' has no attribute {name!r}")
        from importlib import import_module

        module, attribute = _HOMES[name]
        if module.startswith("analysis"):
            from cktf.own_analysis import require_own_analysis

            require_own_analysis()
        return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """Return the names that the module offers, whether imported yet or not."""
    return sorted({*globals(), *__all__})
