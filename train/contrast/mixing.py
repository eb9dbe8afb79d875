"""Negatives made from negatives: random convex combinations of the hardest ones of a query.

Shapes: B rows of all devices, R rows of a chunk, N candidates, S sources, K mixed negatives, D numbers.
"""

import numpy as np
import torch
from torch import Tensor

_LEAST_SOURCES = 2  # one alone would be itself once more


def draw_coefficients(rows: int, count: int, *, seed: int, step: int) -> Tensor:
    """Coefficients of the mixtures, the same for equal seed and step on every device.

    Args:
        rows: of all devices, B.
        count: mixed negatives a row, K.
        seed: of the run.
        step: of the run.

    Returns:
        [B, K, S] float32, uniform among the numbers from 0 that sum to 1; S is K, or 2 if K is 1.
    """
    random = np.random.default_rng((seed, step))
    shares = random.dirichlet(np.ones(max(count, _LEAST_SOURCES)), size=(rows, count))
    return torch.from_numpy(shares.astype(np.float32))


def mixed_similarities(
    rows_RD: Tensor, candidates_ND: Tensor, similarity_RN: Tensor, coefficient_RKS: Tensor
) -> Tensor:
    """Similarity of each row to mixtures of its hardest negatives, brought back to length 1.

    After the online hard-negative mixing of KaLM-Embedding-V2 (arXiv 2506.20923) and of MoCHi (arXiv 2010.01028).
    Gradients flow through the mixture to the negatives it is made of, not through their choice.

    Args:
        rows_RD: unit vectors.
        candidates_ND: unit vectors.
        similarity_RN: of rows and candidates, minus infinity on all that is no negative.
        coefficient_RKS: as `draw_coefficients` gives them.

    Returns:
        [R, K]; minus infinity where a row has no negative at all.
    """
    sources = min(coefficient_RKS.shape[2], candidates_ND.shape[0])
    found_RS, which_RS = similarity_RN.detach().topk(sources, dim=1)
    is_real_RS = found_RS > -torch.inf
    share_RKS = coefficient_RKS[..., :sources] * is_real_RS[:, None, :]
    mixed_RKD = torch.nn.functional.normalize(share_RKS @ candidates_ND[which_RS], dim=-1)
    mixed_RK = (mixed_RKD @ rows_RD[..., None]).squeeze(-1)
    return mixed_RK.masked_fill(~is_real_RS.any(dim=1, keepdim=True), -torch.inf)
