"""Arithmetic in words: ``what is twelve times seven``. Only numbers, + - * / and powers, within bounds.

Nothing is evaluated as Python: the words are brought to a few signs, parsed, and the tree is walked by hand; a power is
refused by its size before it is computed.
"""

import ast
import itertools
import math
import re

from tml_ros.background.offline.amounts import say_number
from tml_ros.background.protocol import Result

__all__ = ["MAX_MAGNITUDE", "arithmetic_result"]

MAX_MAGNITUDE = 1e100
_MAX_TOKENS = 60
_MAX_DEPTH = 40

_ASKED = re.compile(
    r"^(?:(?:hey|okay|robot|please|(?:can|could) you|tell me|do you know|what is|what's|whats|what does|how much is|"
    r"how much makes|calculate|compute|work out|the result of|the value of|the product of) ?)+|"
    r"(?: (?:equal|equals|make|makes|is|please|robot))+$"
)
_WORDS = (
    (re.compile(r"\bpoint (?=[0-9])"), "0."),
    (re.compile(r"\b(?:the )?square root of ([0-9.]+)"), r"\1 ** 0.5"),
    (re.compile(r"\b(?:percent|per cent) of\b|% ?of\b"), "/ 100 *"),
    (re.compile(r"\bto the power of\b|\bto the power\b|\braised to\b|\^"), "**"),
    (re.compile(r"\bsquared\b"), "** 2"),
    (re.compile(r"\bcubed\b"), "** 3"),
    (re.compile(r"\b(?:multiplied by|times)\b|(?<=[0-9]) x (?=[0-9])|\u00d7"), "*"),
    (re.compile(r"\b(?:divided by|over)\b|\u00f7"), "/"),
    (re.compile(r"\bplus\b"), "+"),
    (re.compile(r"\bminus\b|\bnegative\b"), "-"),
    (re.compile(r"\bhalf of\b"), "0.5 *"),
)
_TOKEN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+|\*\*|[-+*/()])")
_OPERATORS = frozenset({"+", "-", "*", "/", "**"})


class _RefusedError(Exception):
    """The expression is arithmetic, but cannot be computed; the message can be spoken."""


def arithmetic_result(words: str) -> Result | None:
    """Return a result when the words are arithmetic and nothing else. words: as ``amounts.plain`` gives them."""
    expression = _expression(words)
    if expression is None:
        return None
    data = {"kind": "arithmetic", "expression": expression}
    try:
        value = _evaluate(expression)
    except _RefusedError as err:
        return Result(str(err), data | {"refused": [str(err)]})
    except SyntaxError:
        return None
    return Result(f"That is {_minus(say_number(value))}.", data | {"value": value})


def _evaluate(expression: str) -> float:
    """Return the value of numbers, + - * / ** and brackets.

    Raises:
        SyntaxError: it is something else.
        _RefusedError: a division by zero, no real result, or a magnitude above ``MAX_MAGNITUDE``.
    """
    try:
        tree = ast.parse(expression, mode="eval")
    except (ValueError, RecursionError, MemoryError) as err:
        raise SyntaxError(str(err)) from err
    return _value(tree.body, 0)


def _expression(words: str) -> str | None:
    """Return the words as an expression with at least one operator; None when a word is none of arithmetic."""
    text = _ASKED.sub("", words)
    for pattern, sign in _WORDS:
        text = pattern.sub(sign if sign == "0." else f" {sign} ", text)
    tokens: list[str] = []
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None or len(tokens) >= _MAX_TOKENS:
            return None
        tokens.append(found[1])
        position = found.end()
    signs = [sign for before, sign in itertools.pairwise(tokens) if sign in _OPERATORS and before != "("]
    return " ".join(map(_number, tokens)) if signs else None


def _number(token: str) -> str:
    """Return a number as Python reads it: no leading zeros."""
    return (token.lstrip("0") or "0") if token.isdigit() else token


def _value(node: ast.expr, depth: int) -> float:
    if depth > _MAX_DEPTH:
        raise SyntaxError("nested too deeply")
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return _bounded(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand, depth + 1)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        return _bounded(_combined(node.op, _value(node.left, depth + 1), _value(node.right, depth + 1)))
    raise SyntaxError(f"{type(node).__name__} is not arithmetic")


def _combined(operator: ast.operator, left: float, right: float) -> float:
    if isinstance(operator, ast.Add):
        return left + right
    if isinstance(operator, ast.Sub):
        return left - right
    if isinstance(operator, ast.Mult):
        return left * right
    if isinstance(operator, ast.Div):
        if right == 0:
            raise _RefusedError("I cannot divide by zero.")
        return left / right
    if isinstance(operator, ast.Pow):
        return _power(left, right)
    raise SyntaxError(f"{type(operator).__name__} is not arithmetic")


def _power(base: float, exponent: float) -> float:
    if base == 0 and exponent < 0:
        raise _RefusedError("I cannot divide by zero.")
    if base < 0 and not float(exponent).is_integer():
        raise _RefusedError("That has no real result.")
    if base != 0 and exponent * math.log10(abs(base)) > math.log10(MAX_MAGNITUDE):
        raise _RefusedError("That number is too large for me.")
    if abs(exponent) > MAX_MAGNITUDE or exponent * math.log10(abs(base) or 1) < -math.log10(MAX_MAGNITUDE):
        return 0.0
    if abs(base) == 1 and float(exponent).is_integer():
        return base if exponent % 2 else 1
    return float(base**exponent) if exponent < 0 or isinstance(exponent, float) else base**exponent


def _bounded(value: float) -> float:
    if abs(value) > MAX_MAGNITUDE:
        raise _RefusedError("That number is too large for me.")
    return value


def _minus(number: str) -> str:
    return f"minus {number[1:]}" if number.startswith("-") else number
