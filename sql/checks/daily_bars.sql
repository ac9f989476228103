-- $1 session, $2 the session before it (null: not loaded), $3 members as JSON (symbols, price_limit,
-- ladder), $4 ladders as JSON (ladder, below, ticks), $5 shares from which on a repeated bar is no
-- coincidence: what each rule found among the session's bars, with up to 20 examples.
WITH ladder AS (
    SELECT * FROM jsonb_to_recordset($4::text::jsonb) AS ladder (
        ladder integer, below numeric[], ticks numeric[]
    )
),
member AS MATERIALIZED (
    SELECT symbol, price_limit, below, ticks
    FROM jsonb_to_recordset($3::text::jsonb) AS alike (
        symbols text[], price_limit numeric, ladder integer
    )
    LEFT JOIN ladder USING (ladder)
    CROSS JOIN LATERAL unnest(symbols) AS symbol
),
-- Both sessions' bars of a symbol side by side, by grouping and not by a join: the statistics do not
-- know sessions that were just loaded, the planner takes each for a single row, and would then look
-- for every bar among all bars. (max of what is there once.)
bar AS (
    SELECT symbol,
           max(open) FILTER (WHERE date = $1::date) AS open,
           max(high) FILTER (WHERE date = $1::date) AS high,
           max(low) FILTER (WHERE date = $1::date) AS low,
           max(close) FILTER (WHERE date = $1::date) AS close,
           max(volume) FILTER (WHERE date = $1::date) AS volume,
           max(trading_value) FILTER (WHERE date = $1::date) AS trading_value,
           max(market_cap) FILTER (WHERE date = $1::date) AS market_cap,
           max(listed_shares) FILTER (WHERE date = $1::date) AS listed_shares,
           max(open) FILTER (WHERE date = $2::date) AS open_before,
           max(high) FILTER (WHERE date = $2::date) AS high_before,
           max(low) FILTER (WHERE date = $2::date) AS low_before,
           max(close) FILTER (WHERE date = $2::date) AS base,
           max(volume) FILTER (WHERE date = $2::date) AS volume_before,
           max(listed_shares) FILTER (WHERE date = $2::date) AS listed_shares_before
    FROM daily_bars
    WHERE date IN ($1::date, $2::date)
    GROUP BY symbol
    HAVING bool_or(date = $1::date)
),
limited AS (
    -- KRX cuts the move to the base's tick, and the highest price to its own; what lies in between
    -- is off its tick, which is another rule's. (OFFSET 0: computed once, wherever it is used.)
    SELECT *, base + may_move AS highest, base - may_move AS lowest,
           open = 0 AND high = 0 AND low = 0 AND volume = 0 AND close > 0 AS halted,
           -- A base that is not the close before: of a halt that ends, a split, a capital change.
           volume_before > 0 AND base > 0
               AND listed_shares_before IS NOT DISTINCT FROM listed_shares AS has_base
    FROM bar
    LEFT JOIN member USING (symbol)
    CROSS JOIN LATERAL (
        SELECT ticks[width_bucket(base, below) + 1] AS base_tick OFFSET 0
    ) AS tick
    CROSS JOIN LATERAL (
        SELECT trunc(price_limit * base / base_tick) * base_tick AS may_move OFFSET 0
    ) AS move
),
-- By rule: whether a bar breaks it; null where the rule cannot judge it.
judged AS MATERIALIZED (
    SELECT symbol, open, high, low, close, volume, trading_value, market_cap, listed_shares,
           base, lowest, highest,
           NOT halted AND NOT (open > 0 AND high > 0 AND low > 0 AND close > 0) AS positive_prices,
           CASE WHEN NOT halted THEN
               open > 0 AND high > 0 AND low > 0 AND close > 0
               AND NOT (low <= open AND low <= close AND high >= open AND high >= close)
           END AS ohlc_order,
           least(volume, trading_value, market_cap, listed_shares) < 0 AS non_negative_volume,
           CASE WHEN volume > 0 AND trading_value IS NOT NULL AND low > 0 AND low <= high THEN
               trading_value < low * volume OR trading_value > high * volume
           END AS vwap,
           CASE WHEN ticks IS NOT NULL AND volume > 0 THEN
               open % ticks[width_bucket(open, below) + 1] <> 0
               OR high % ticks[width_bucket(high, below) + 1] <> 0
               OR low % ticks[width_bucket(low, below) + 1] <> 0
               OR close % ticks[width_bucket(close, below) + 1] <> 0
           END AS tick_size,
           CASE WHEN has_base AND may_move IS NOT NULL AND volume > 0
                     AND least(open, high, low, close) > 0 THEN
               greatest(high, open, close) > highest OR least(low, open, close) < lowest
           END AS price_limit,
           CASE WHEN base IS NOT NULL AND volume >= $5::bigint THEN
               (open, high, low, close, volume)
               = (open_before, high_before, low_before, base, volume_before)
           END AS stale_close
    FROM limited
),
by_rule AS (
    SELECT 'positive_prices' AS rule, count(positive_prices) AS checked,
           array_agg(symbol) FILTER (WHERE positive_prices) AS broken_by
    FROM judged
    UNION ALL
    SELECT 'ohlc_order', count(ohlc_order), array_agg(symbol) FILTER (WHERE ohlc_order)
    FROM judged
    UNION ALL
    SELECT 'non_negative_volume', count(non_negative_volume),
           array_agg(symbol) FILTER (WHERE non_negative_volume)
    FROM judged
    UNION ALL
    SELECT 'vwap', count(vwap), array_agg(symbol) FILTER (WHERE vwap) FROM judged
    UNION ALL
    SELECT 'tick_size', count(tick_size), array_agg(symbol) FILTER (WHERE tick_size) FROM judged
    UNION ALL
    SELECT 'price_limit', count(price_limit), array_agg(symbol) FILTER (WHERE price_limit)
    FROM judged
    UNION ALL
    SELECT 'stale_close', count(stale_close), array_agg(symbol) FILTER (WHERE stale_close)
    FROM judged
)
SELECT rule, checked, coalesce(cardinality(broken_by), 0)::bigint AS found,
       coalesce(examples, '[]')::text AS examples
FROM by_rule
CROSS JOIN LATERAL (
    SELECT jsonb_agg(
        jsonb_build_object(
            'symbol', symbol, 'open', open, 'high', high, 'low', low, 'close', close,
            'volume', volume
        ) || CASE rule
            WHEN 'non_negative_volume' THEN jsonb_build_object(
                'trading_value', trading_value, 'market_cap', market_cap,
                'listed_shares', listed_shares
            )
            WHEN 'vwap' THEN jsonb_build_object('vwap', round(trading_value / volume::numeric, 2))
            WHEN 'price_limit' THEN jsonb_build_object(
                'previous_close', base, 'lowest', lowest, 'highest', highest
            )
            ELSE '{}'
        END ORDER BY symbol COLLATE "C"
    ) AS examples
    FROM judged
    WHERE symbol = ANY (ARRAY(
        SELECT symbol FROM unnest(broken_by) AS symbol ORDER BY symbol COLLATE "C" LIMIT 20
    ))
) AS shown
UNION ALL
SELECT 'symbols', count(*), count(*), coalesce(jsonb_agg(symbol), '[]')::text
FROM judged
