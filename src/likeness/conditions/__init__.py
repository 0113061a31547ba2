"""What some methods need beside the face itself: landmarks, reference photographs, the hole to fill."""

from likeness.conditions.find import find_conditions
from likeness.conditions.types import Condition, Given, Missing

__all__ = ["Condition", "Given", "Missing", "find_conditions"]
