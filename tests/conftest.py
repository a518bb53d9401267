"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# A loaded machine is slow, and no example is wrong for it.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
