"""Proxies: cheap guesses at what a block is worth, without measuring any answer."""

from depthprune.importance.proxies.description import PROXIES, Proxy, ProxyScores, proxy
from depthprune.importance.proxies.measure import measure_proxies, num_passes, proxy_scores

__all__ = [
    "PROXIES",
    "Proxy",
    "ProxyScores",
    "measure_proxies",
    "num_passes",
    "proxy",
    "proxy_scores",
]
