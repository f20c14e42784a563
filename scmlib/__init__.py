"""scmlib: occluded person re-identification with spectral clustering masks (SCM).

The method and its loop are the modules of this folder, to be read from top to bottom: `backbone`, `mask`, `model`,
`losses`; then `settings`, `run_folder`, `checkpoints`, `schedule`, `training`; then `inference`, `ranking`,
`evaluation`, `runs`. Everything else has a package of its own:

    data        folders to records to pictures to batches
    exports     a run handed on: the network as ONNX, embeddings and masks as files
    analysis    what a trained model sees, and what its parts are worth
    figures     pure functions from tables and arrays to matplotlib
    explorers   figures under your hand, in a notebook
    cli         the command line, `scm`

`demo` is the main job and `course` what the notebooks share; these two and the command line use `data_prep`. Imports
point one way; `tests/test_project.py` holds the order.

Names below load on first use, so that `import scmlib` and `scm --help` don't wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
