-- $1 session, $2 the session before it (null: not loaded), $3 members as JSON (symbol, price_limit,
-- ladder), $4 ladders as JSON (ladder, below, ticks), $5 shares from which on a repeated bar is no
-- coincidence: what each rule found among the session's bars, with up to 20 examples.
WITH ladder AS (
    SELECT * FROM jsonb_to_recordset($4::text::jsonb) AS ladder (
        ladder integer, below numeric[], ticks numeric[]
    )
),
member AS MATERIALIZED (
    SELECT symbol, price_limit, below, ticks
    FROM jsonb_to_recordset($3::text::jsonb) AS member (
        symbol text, price_limit numeric, ladder integer
    )
    LEFT JOIN ladder USING (ladder)
),
bar AS (
    SELECT bar.*, below, ticks, before.close AS base,
           price_limit * before.close AS may_move,
           bar.open = 0 AND bar.high = 0 AND bar.low = 0 AND bar.volume = 0 AND bar.close > 0
               AS halted,
           -- A base that is not the close before: of a halt that ends, a split, a capital change.
           before.volume > 0 AND before.close > 0
               AND before.listed_shares IS NOT DISTINCT FROM bar.listed_shares AS has_base,
           (bar.open, bar.high, bar.low, bar.close, bar.volume)
               = (before.open, before.high, before.low, before.close, before.volume) AS repeated
    FROM daily_bars AS bar
    LEFT JOIN member USING (symbol)
    LEFT JOIN daily_bars AS before ON before.symbol = bar.symbol AND before.date = $2::date
    WHERE bar.date = $1::date
),
limited AS (
    -- KRX cuts the move to the base's tick, and the highest price to its own; what lies in between
    -- is off its tick, which is another rule's.
    SELECT *, base + trunc(may_move / base_tick) * base_tick AS highest,
           base - trunc(may_move / base_tick) * base_tick AS lowest
    FROM bar
    CROSS JOIN LATERAL (SELECT ticks[width_bucket(base, below) + 1] AS base_tick) AS tick
),
judged AS (
    SELECT symbol, rule, judged, broken,
           jsonb_build_object(
               'symbol', symbol, 'open', open, 'high', high, 'low', low, 'close', close,
               'volume', volume
           ) || shown AS example
    FROM limited
    CROSS JOIN LATERAL (VALUES
        ('positive_prices', true,
         NOT halted AND NOT (open > 0 AND high > 0 AND low > 0 AND close > 0), '{}'::jsonb),
        ('ohlc_order', NOT halted,
         open > 0 AND high > 0 AND low > 0 AND close > 0
             AND NOT (low <= open AND low <= close AND high >= open AND high >= close), '{}'),
        ('non_negative_volume', true,
         least(volume, trading_value, market_cap, listed_shares) < 0,
         jsonb_build_object(
             'trading_value', trading_value, 'market_cap', market_cap,
             'listed_shares', listed_shares
         )),
        ('vwap', volume > 0 AND trading_value IS NOT NULL AND low > 0 AND low <= high,
         trading_value < low * volume OR trading_value > high * volume,
         jsonb_build_object('vwap', round(trading_value / nullif(volume, 0)::numeric, 2))),
        ('tick_size', ticks IS NOT NULL AND volume > 0,
         open % ticks[width_bucket(open, below) + 1] <> 0
             OR high % ticks[width_bucket(high, below) + 1] <> 0
             OR low % ticks[width_bucket(low, below) + 1] <> 0
             OR close % ticks[width_bucket(close, below) + 1] <> 0, '{}'),
        ('price_limit', has_base AND may_move IS NOT NULL AND base_tick IS NOT NULL AND volume > 0
             AND least(open, high, low, close) > 0,
         greatest(high, open, close) > highest OR least(low, open, close) < lowest,
         jsonb_build_object('previous_close', base, 'lowest', lowest, 'highest', highest)),
        ('stale_close', base IS NOT NULL AND volume >= $5::bigint, repeated, '{}')
    ) AS rule (rule, judged, broken, shown)
),
numbered AS (
    SELECT rule, judged, judged AND broken AS broken, example,
           row_number() OVER (
               PARTITION BY rule, judged AND broken ORDER BY symbol COLLATE "C"
           ) AS number
    FROM judged
)
SELECT rule,
       count(*) FILTER (WHERE judged) AS checked,
       count(*) FILTER (WHERE broken) AS found,
       coalesce(
           jsonb_agg(example ORDER BY number) FILTER (WHERE broken AND number <= 20), '[]'
       )::text AS examples
FROM numbered
GROUP BY rule
UNION ALL
SELECT 'symbols', count(*), count(*), coalesce(jsonb_agg(symbol), '[]')::text
FROM daily_bars
WHERE date = $1::date
