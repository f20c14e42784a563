"""The learning rate of every epoch: linear warm-up, half a cosine, then held while the weights are averaged.

Sources: Loshchilov and Hutter, 2017: SGDR (cosine); Goyal et al., 2017: Accurate, Large Minibatch SGD (warm-up).

Lesson: notebooks/03_training.ipynb.
"""

from __future__ import annotations

import math


def learning_rate(epoch: int, *, lr: float, epochs: tuple[int, int], ema_ratio: float) -> float:
    """The rate of an epoch (counted from 1): linear warm-up from 1 %, a cosine, held once averaging starts.

    Args:
        epoch: from 1.
        lr: peak rate, reached at the end of the warm-up.
        epochs: (e0, E): the warm-up's length, and where the cosine would reach zero.
        ema_ratio: the rate stays from epoch int(E * ema_ratio) on.
    """
    warm_up, last = epochs
    epoch = min(epoch, int(last * ema_ratio))
    if epoch <= warm_up:
        return 0.01 * lr + (lr - 0.01 * lr) * epoch / warm_up
    return 0.5 * lr * (1 + math.cos(math.pi * (epoch - warm_up) / (last - warm_up)))
