"""The built-in views. Each is a class in a file of its own name, offered by the hook that plugins use."""

from collections.abc import Iterator

from pluggy_specs import View, hookimpl


@hookimpl
def register_views() -> Iterator[type[View]]:
    """Offer the views that come with peft_lab; they are imported only when somebody asks for views."""
    from peft_lab.views.adapter_activity import AdapterActivity
    from peft_lab.views.change_map import ChangeMap
    from peft_lab.views.comparison import Comparison
    from peft_lab.views.constructs import Constructs
    from peft_lab.views.curves import Curves
    from peft_lab.views.data_curve import DataCurve
    from peft_lab.views.distance import Distance
    from peft_lab.views.gates import Gates
    from peft_lab.views.mask_atlas import MaskAtlas
    from peft_lab.views.reliability import ReliabilityView
    from peft_lab.views.risk_coverage import RiskCoverageView
    from peft_lab.views.time_curve import TimeCurve
    from peft_lab.views.tokens import Tokens
    from peft_lab.views.trainable_map import TrainableMap

    yield from (Curves, ChangeMap, TrainableMap, Comparison, Gates, Distance, AdapterActivity, MaskAtlas, Constructs)
    yield from (Tokens, ReliabilityView, RiskCoverageView, DataCurve, TimeCurve)
