"""What holds for all tests."""

from __future__ import annotations

import signal

from hypothesis import settings

# A loaded machine is slow, and no example is wrong for it.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# Started in the background or under nohup, pytest would hand down to every process under test that it ignores these.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
