"""What holds for all tests."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, Phase, settings

from tests.examples import examples

# A loaded machine is slow, and no example is wrong for it.
SLOW_IS_NOT_WRONG = [HealthCheck.too_slow]
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=SLOW_IS_NOT_WRONG, max_examples=examples(30)
)
# Whoever runs the same tests again and again asks whether they fail, not what fails at the least.
settings.register_profile(
    "repeatable",
    deadline=None,
    suppress_health_check=SLOW_IS_NOT_WRONG,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "any machine"))

# Started in the background or under nohup, pytest would hand down to every process under test that it ignores these.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
