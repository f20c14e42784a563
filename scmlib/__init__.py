"""scmlib: occluded person re-identification with spectral clustering masks (SCM).

The modules tell one story, and each imports only from those before it:

    errors, records, layouts, datasets, inspection, images  folders to records to batches
    backbone, mask, model, losses                           the method
    recipes, reached, checkpoints, training                 settings, files and the loop
    ranking, evaluation, baseline, study                    figures of a trained model
    mask_scores, mask_baselines, occlusion, sensitivity,    what the masks see, and what each part is worth
        clinic, ablation, views
    figures, mask_figures, occlusion_figures, report,       pictures and the page
        data_figures, training_figures, protocol_figures
    panels, explorer_figures, widgets, explorers            pictures under your hand
    demo, course, options, analysis_cli, cli                the main job, the notebooks' start, the command line; these
                                                            use `data_prep`

Names below load on first use, so that `import scmlib` and `scm --help` don't wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
