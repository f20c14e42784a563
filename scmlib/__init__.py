"""scmlib: occluded person re-identification with spectral clustering masks (SCM).

The modules tell one story, and each imports only from those before it:

    errors, datasets, images         folders to records to batches
    backbone, mask, model, losses    the method
    recipes, checkpoints, training   settings, files and the loop
    evaluation, baseline, mask_scores  figures of a trained model, and what to hold them against
    figures, report                  pictures and the page
    demo, cli                        the main job and the command line; only these two use `data_prep`

Names below load on first use, so that `import scmlib` and `scm --help` don't wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
