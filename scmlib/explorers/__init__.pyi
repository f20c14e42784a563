from .calls import explore_masks as explore_masks
from .calls import explore_prior as explore_prior
from .calls import explore_ranking as explore_ranking
from .calls import explore_schedule as explore_schedule
from .calls import explore_search as explore_search
from .calls import explore_worth as explore_worth
from .calls import find_her as find_her
from .calls import occlusion_lab as occlusion_lab
