"""Which modules beside the tests hold assertions that pytest should explain?"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("runtime_contract", "gateway_contract", "worlds", "fake_engine", "image_registry")
