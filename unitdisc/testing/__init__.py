"""Contract tests for plugin authors: one line each, and a failure names the law that was broken.

For example, in a plugin's own tests::

    def test_my_rule_keeps_the_contract():
        check_bottleneck(partial(MyRule, num_codes=5))
"""

from __future__ import annotations

from unitdisc.testing.bottleneck import check_bottleneck
from unitdisc.testing.data import check_data
from unitdisc.testing.decoder import check_decoder
from unitdisc.testing.encoder import check_encoder
from unitdisc.testing.exporter import check_exporter
from unitdisc.testing.head import check_head
from unitdisc.testing.metric import check_metric
from unitdisc.testing.prior import check_prior
from unitdisc.testing.reader import check_reader

__all__ = [
    "check_bottleneck",
    "check_data",
    "check_decoder",
    "check_encoder",
    "check_exporter",
    "check_head",
    "check_metric",
    "check_prior",
    "check_reader",
]
