"""Importance scores of blocks: how two sets of them agree."""

from depthprune.importance.compare import RankAgreement, rank_agreement

__all__ = ["RankAgreement", "rank_agreement"]
