-- The whole history of every changed symbol: what was known before and after the span, what the
-- source says in between. Neighbours that say the same are made one, but rows that begin after the
-- span stay as they are.
CREATE TEMPORARY TABLE rebuilt ON COMMIT DROP AS
WITH piece AS (
    SELECT symbol, known.valid_from, least(known.valid_to, span_from) AS valid_to,
           {columns}, false AS newer
    FROM changed JOIN {table} AS known USING (symbol)
    WHERE known.valid_from < span_from
    UNION ALL
    SELECT symbol, greatest(known.valid_from, span_to), known.valid_to,
           {columns}, known.valid_from >= span_to
    FROM changed JOIN {table} AS known USING (symbol)
    WHERE known.valid_to > span_to OR (known.valid_to IS NULL AND span_to IS NOT NULL)
    UNION ALL
    SELECT symbol, span_from, span_to, {columns}, false
    FROM changed JOIN incoming USING (symbol)
), marked AS (
    SELECT *,
           newer OR (lag(valid_to) OVER history = valid_from
            AND lag(({columns})) OVER history IS NOT DISTINCT FROM ({columns})
           ) IS NOT TRUE AS begins
    FROM piece
    WINDOW history AS (PARTITION BY symbol ORDER BY valid_from)
), numbered AS (
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY symbol ORDER BY valid_from) AS island
    FROM marked
)
SELECT symbol,
       min(valid_from) AS valid_from,
       (array_agg(valid_to ORDER BY valid_from DESC))[1] AS valid_to,
       {columns}
FROM numbered
GROUP BY symbol, island, {columns}
