"""Functions that a query may call: reviewed one by one, by name.

PURE: data and one question about it. A function is listed if all it can do is compute from its arguments, in
time and memory that grow with them and are capped: none reads a file, a dictionary, a table named by text,
the network, the configuration or another query, none waits, and none tells of the machine. A new version of
the engine adds nothing here by itself. Names that differ in case alone are taken for one; a test holds that,
and the list, against the engine's own.
"""

from __future__ import annotations

from pipeline.web.door_scalars import SCALARS

_AGGREGATES = """
    any any_respect_nulls anyHeavy anyLast anyLast_respect_nulls approx_top_k approx_top_sum argAndMax
    argAndMin argMax argMin avg avgWeighted boundingRatio corr corrStable count covarPop covarPopStable
    covarSamp covarSampStable cume_dist deltaSum deltaSumTimestamp denseRank distinctDynamicTypes
    distinctJSONPaths distinctJSONPathsAndTypes entropy exponentialMovingAverage exponentialTimeDecayedAvg
    exponentialTimeDecayedCount exponentialTimeDecayedMax exponentialTimeDecayedSum gini groupArray
    groupArrayInsertAt groupArrayIntersect groupArrayLast groupArrayMovingAvg groupArrayMovingSum
    groupArraySorted groupBitAnd groupBitmap groupBitmapAnd groupBitmapOr groupBitmapXor groupBitOr
    groupBitXor groupConcat groupUniqArray histogram kurtPop kurtSamp lag lagInFrame
    largestTriangleThreeBuckets lead leadInFrame max maxIntersections maxIntersectionsPosition
    maxMappedArrays min minMappedArrays nonNegativeDerivative nth_value ntile percentRank quantile
    quantileBFloat16 quantileBFloat16Weighted quantileDD quantileDeterministic quantileExact
    quantileExactExclusive quantileExactHigh quantileExactInclusive quantileExactLow quantileExactWeighted
    quantileExactWeightedInterpolated quantileGK quantileInterpolatedWeighted quantiles quantilesBFloat16
    quantilesBFloat16Weighted quantilesDD quantilesDeterministic quantilesExact quantilesExactExclusive
    quantilesExactHigh quantilesExactInclusive quantilesExactLow quantilesExactWeighted
    quantilesExactWeightedInterpolated quantilesGK quantilesInterpolatedWeighted quantilesTDigest
    quantilesTDigestWeighted quantilesTiming quantilesTimingWeighted quantileTDigest
    quantileTDigestWeighted quantileTiming quantileTimingWeighted rank regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy retention row_number sequenceCount
    sequenceMatch sequenceMatchEvents simpleLinearRegression singleValueOrNull skewPop skewSamp sparkbar
    stddevPop stddevPopStable stddevSamp stddevSampStable sum sumCount sumKahan sumMapFiltered
    sumMapFilteredWithOverflow sumMappedArrays sumMapWithOverflow sumWithOverflow topK topKWeighted uniq
    uniqCombined uniqCombined64 uniqExact uniqHLL12 uniqUpTo varPop varPopStable varSamp varSampStable
    windowFunnel BIT_AND BIT_OR BIT_XOR COVAR_POP COVAR_SAMP STD STDDEV STDDEV_POP STDDEV_SAMP VAR_POP
    VAR_SAMP anyLastRespectNulls anyRespectNulls anyValueRespectNulls any_value any_value_respect_nulls
    approx_top_count array_agg dense_rank firstValueRespectNulls first_value first_value_respect_nulls
    group_concat lastValueRespectNulls last_value last_value_respect_nulls lttb max_by median
    medianBFloat16 medianBFloat16Weighted medianDD medianDeterministic medianExact medianExactHigh
    medianExactLow medianExactWeighted medianExactWeightedInterpolated medianGK medianInterpolatedWeighted
    medianTDigest medianTDigestWeighted medianTiming medianTimingWeighted min_by percent_rank sparkBar
    string_agg
"""
AGGREGATES = frozenset(_AGGREGATES.split())
"""Aggregate and window functions, as the engine spells them, without combinators."""

_COMBINATORS = (
    *("SimpleState", "OrDefault", "Distinct", "Resample", "ForEach", "ArgMax", "ArgMin", "OrNull"),
    *("Tuple", "Merge", "State", "Array", "Null", "Map", "If"),
)

_SYNTAX = frozenset({"lambda", "untuple", "grouping", "exists", "_cast", "casewithexpression"})
"""What the parser makes of operators, casts and `CASE`."""

TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "generate_series", "generateSeries", "values"}
) | {"SQLStandardValues"}
"""Table functions that give rows from their arguments alone."""

IN_FUNCTIONS = frozenset({"in", "notIn", "nullIn", "notNullIn"}) | frozenset(
    {"globalIn", "globalNotIn", "globalNullIn", "globalNotNullIn"}
)
"""Functions whose second argument may be a table."""

_AGGREGATES_LOWER = frozenset(name.lower() for name in AGGREGATES)
_ALLOWED = frozenset(name.lower() for name in SCALARS) | _AGGREGATES_LOWER | _SYNTAX


def may_call(name: str) -> bool:
    """Whether a query may call a function, by its name as written, with combinators (`countIf`)."""
    return name.lower() in _ALLOWED or _is_combined(name)


def _is_combined(name: str) -> bool:
    """Whether a name is an aggregate function with combinators behind it."""
    for combinator in _COMBINATORS:
        stem = name.removesuffix(combinator)
        if stem != name and stem and (stem.lower() in _AGGREGATES_LOWER or _is_combined(stem)):
            return True
    return False
