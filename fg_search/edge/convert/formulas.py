"""Score formulas of ``qdrant_client.models`` as formulas of Qdrant Edge."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.convert.counterparts import dispatch
from fg_search.edge.convert.filters import convert_condition, geo_point, is_condition
from fg_search.edge.convert.points import json_payload

_Expression = edge.Expression


def _constant(value: float) -> edge.Expression:
    if not math.isfinite(value):
        raise ValueError(f"A formula has the constant {value}; use finite numbers")
    return _Expression.Constant(float(value))


def _operands(expressions: list[models.Expression]) -> list[edge.Expression]:
    return [convert_expression(expression) for expression in expressions]


def _at_least_one(expressions: list[models.Expression], operator: str) -> list[edge.Expression]:
    if not expressions:
        raise ValueError(f"`{operator}` needs at least one operand")
    return _operands(expressions)


def _decay(kind: edge.DecayKind, params: models.DecayParamsExpression) -> edge.Expression:
    midpoint = 0.5 if params.midpoint is None else params.midpoint
    if kind == edge.DecayKind.Lin:
        if not 0.0 <= midpoint <= 1.0:
            raise ValueError(f"Linear decay midpoint should be in the range [0.0, 1.0], got {midpoint}")
    elif not 0.0 < midpoint < 1.0:
        raise ValueError(f"Decay midpoint should be in the range (0.0, 1.0), got {midpoint}")
    if params.scale is not None and params.scale <= 0.0:
        raise ValueError(f"Scale must be non-zero positive, got {params.scale}")
    return _Expression.Decay(
        kind,
        convert_expression(params.x),
        None if params.target is None else convert_expression(params.target),
        params.midpoint,
        params.scale,
    )


_EXPRESSIONS: dict[type, Callable[[Any], edge.Expression]] = {
    float: _constant,
    int: _constant,
    str: _Expression.Variable,
    models.GeoDistance: lambda x: _Expression.GeoDistance(geo_point(x.geo_distance.origin), x.geo_distance.to),
    models.DatetimeExpression: lambda x: _Expression.Datetime(x.datetime),
    models.DatetimeKeyExpression: lambda x: _Expression.DatetimeKey(x.datetime_key),
    models.MultExpression: lambda x: _Expression.Mult(_operands(x.mult)),
    models.SumExpression: lambda x: _Expression.Sum(_operands(x.sum)),
    models.MaxExpression: lambda x: _Expression.Max(_at_least_one(x.max, "max")),
    models.MinExpression: lambda x: _Expression.Min(_at_least_one(x.min, "min")),
    models.NegExpression: lambda x: _Expression.Neg(convert_expression(x.neg)),
    models.AbsExpression: lambda x: _Expression.Abs(convert_expression(x.abs)),
    models.DivExpression: lambda x: _Expression.Div(
        convert_expression(x.div.left), convert_expression(x.div.right), x.div.by_zero_default
    ),
    models.SqrtExpression: lambda x: _Expression.Sqrt(convert_expression(x.sqrt)),
    models.PowExpression: lambda x: _Expression.Pow(convert_expression(x.pow.base), convert_expression(x.pow.exponent)),
    models.ExpExpression: lambda x: _Expression.Exp(convert_expression(x.exp)),
    models.Log10Expression: lambda x: _Expression.Log10(convert_expression(x.log10)),
    models.LnExpression: lambda x: _Expression.Ln(convert_expression(x.ln)),
    models.AcoshExpression: lambda x: _Expression.Acosh(convert_expression(x.acosh)),
    models.LinDecayExpression: lambda x: _decay(edge.DecayKind.Lin, x.lin_decay),
    models.ExpDecayExpression: lambda x: _decay(edge.DecayKind.Exp, x.exp_decay),
    models.GaussDecayExpression: lambda x: _decay(edge.DecayKind.Gauss, x.gauss_decay),
}


def convert_expression(expression: models.Expression) -> edge.Expression:
    """Convert a term of a formula; a condition counts 1 where it holds and 0 elsewhere."""
    if is_condition(expression):
        return _Expression.Condition(convert_condition(expression))  # type: ignore[arg-type]
    return dispatch(_EXPRESSIONS, expression, "expression")(expression)


def convert_formula(query: models.FormulaQuery) -> edge.Formula:
    """Convert a formula and the defaults of its variables."""
    defaults = json_payload(query.defaults, "defaults of the formula") if query.defaults else {}
    return edge.Formula(convert_expression(query.formula), defaults)
