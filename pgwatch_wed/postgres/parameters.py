"""What a configuration parameter accepts in a configuration file."""

from pgwatch_wed.facts import Setting
from pgwatch_wed.units import read_size, read_span, setting_factor

_TRUE_OR_FALSE = ("true", "false", "yes", "no", "on", "off")


def accepts(setting: Setting, text: str) -> bool:
    """Tell whether the server accepts a value; any text for strings, which only it can check."""
    value = text.strip()
    if setting.vartype == "bool":
        return _is_boolean(value.lower())
    if setting.vartype == "enum":
        return value.lower() in {v.lower() for v in setting.enum_values}
    if setting.vartype in ("integer", "real"):
        return _is_in_range(setting, value)
    return True


def _is_boolean(value: str) -> bool:
    """Tell whether it is 0, 1, or the beginning of a word for true or false, but not of both."""
    return value in ("0", "1") or (
        bool(value) and value != "o" and any(word.startswith(value) for word in _TRUE_OR_FALSE)
    )


def _is_in_range(setting: Setting, value: str) -> bool:
    number = _number(setting.unit or "", value)
    if number is None:
        return False
    least = setting.min_value if setting.min_value is not None else number
    most = setting.max_value if setting.max_value is not None else number
    return least <= number <= most


def _number(unit: str, value: str) -> float | None:
    """Return a number in the parameter's own unit; None if it is none."""
    for read in (float, lambda text: int(text, 0)):
        try:
            return read(value)
        except ValueError:
            continue
    for with_unit in (read_size, lambda text: read_span(text).total_seconds() * 1000):
        try:
            # the server rounds to whole units
            return round(with_unit(value) / setting_factor(unit)) if unit else None
        except ValueError:
            continue
    return None
