-- $1 start and $2 end of the session's day, $3 session, $4 the session before it (null: its daily
-- bars are not loaded), $5 members as JSON (symbols, price_limit, ladder), $6 ladders as JSON (ladder,
-- below, ticks), $7 hours as JSON (venue, first, until, auction, auction_end): what each rule found,
-- with up to 20 examples. Two scans of the session: it has a million bars.
WITH ladder AS (
    SELECT * FROM jsonb_to_recordset($6::text::jsonb) AS ladder (
        ladder integer, below numeric[], ticks numeric[]
    )
),
member AS MATERIALIZED (
    SELECT symbol, price_limit, below, ticks
    FROM jsonb_to_recordset($5::text::jsonb) AS alike (
        symbols text[], price_limit numeric, ladder integer
    )
    LEFT JOIN ladder USING (ladder)
    CROSS JOIN LATERAL unnest(symbols) AS symbol
),
hours AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($7::text::jsonb) AS hours (
        venue text, first timestamptz, until timestamptz,
        auction timestamptz, auction_end timestamptz
    )
),
-- The bars that break a rule, by their times: an array is counted and shown alike, and each
-- condition is evaluated once.
traded AS MATERIALIZED (
    SELECT symbol, venue, count(*) AS bars, sum(volume)::numeric AS volume,
           count(trading_value) AS valued, min(low) AS lowest, max(high) AS highest,
           array_agg(time) FILTER (WHERE least(open, high, low, close) <= 0) AS not_positive,
           array_agg(time) FILTER (
               WHERE NOT (low <= open AND low <= close AND high >= open AND high >= close)
                 AND least(open, high, low, close) > 0
           ) AS unordered,
           array_agg(time) FILTER (WHERE volume < 0 OR trading_value < 0) AS negative,
           array_agg(time) FILTER (
               WHERE (trading_value < low * volume OR trading_value > high * volume)
                 AND volume > 0 AND low > 0 AND low <= high
           ) AS outside,
           array_agg(time) FILTER (
               WHERE (time >= first AND time < until OR time BETWEEN auction AND auction_end)
                   IS NOT TRUE
           ) AS off_hours
    FROM stock_prices
    LEFT JOIN hours USING (venue)
    WHERE time >= $1::text::timestamptz AND time < $2::text::timestamptz
    GROUP BY symbol, venue
),
-- Nearly every symbol stays between two steps of its ladder and has one tick all day.
tick AS MATERIALIZED (
    SELECT symbol, venue, below, ticks,
           CASE WHEN width_bucket(lowest, below) = width_bucket(highest, below)
                THEN ticks[width_bucket(lowest, below) + 1] END AS tick
    FROM traded
    JOIN member USING (symbol)
    WHERE ticks IS NOT NULL
),
untidy AS MATERIALIZED (
    SELECT symbol, venue, array_agg(time) AS off_tick
    FROM stock_prices
    JOIN tick USING (symbol, venue)
    WHERE time >= $1::text::timestamptz AND time < $2::text::timestamptz
      AND CASE
          WHEN tick IS NULL THEN
              open % ticks[width_bucket(open, below) + 1] <> 0
              OR high % ticks[width_bucket(high, below) + 1] <> 0
              OR low % ticks[width_bucket(low, below) + 1] <> 0
              OR close % ticks[width_bucket(close, below) + 1] <> 0
          ELSE open % tick <> 0 OR high % tick <> 0 OR low % tick <> 0 OR close % tick <> 0
      END
    GROUP BY symbol, venue
),
by_bars AS (
    SELECT rule, judged, symbol, venue, coalesce(cardinality(times), 0) AS broken, times
    FROM traded
    LEFT JOIN member USING (symbol)
    LEFT JOIN untidy USING (symbol, venue)
    CROSS JOIN LATERAL (VALUES
        ('positive_prices', bars, not_positive),
        ('ohlc_order', bars, unordered),
        ('non_negative_volume', bars, negative),
        ('vwap', valued, outside),
        ('session_hours', bars, off_hours),
        ('tick_size', CASE WHEN ticks IS NULL THEN 0 ELSE bars END, off_tick)
    ) AS rule (rule, judged, times)
),
of_bars AS (
    SELECT rule, sum(judged)::bigint AS checked, sum(broken)::bigint AS found,
           jsonb_agg(
               jsonb_build_object(
                   'symbol', symbol, 'venue', venue, 'bars', broken,
                   'first', (SELECT min(time) FROM unnest(times) AS bar (time))
               ) ORDER BY symbol COLLATE "C", venue
           ) FILTER (WHERE broken > 0) AS examples
    FROM by_bars
    GROUP BY rule
),
-- A symbol at KRX beside its daily bars of this session and the one before: by grouping and not by a
-- join, as in daily_bars.sql.
beside AS (
    SELECT symbol,
           max(volume) FILTER (WHERE date IS NULL) AS volume,
           max(lowest) AS lowest,
           max(highest) AS highest,
           max(volume) FILTER (WHERE date = $3::date) AS daily_volume,
           max(listed_shares) FILTER (WHERE date = $3::date) AS listed_shares,
           max(close) FILTER (WHERE date = $4::date) AS base,
           max(volume) FILTER (WHERE date = $4::date) AS volume_before,
           max(listed_shares) FILTER (WHERE date = $4::date) AS listed_shares_before
    FROM (
        SELECT NULL::date AS date, symbol, volume, lowest, highest, NULL::numeric AS close,
               NULL::bigint AS listed_shares
        FROM traded
        WHERE venue = 'KRX'
        UNION ALL
        SELECT date, symbol, volume, NULL, NULL, close, listed_shares
        FROM daily_bars
        WHERE date IN ($3::date, $4::date)
    ) AS sides
    GROUP BY symbol
    HAVING bool_or(date IS NULL) AND bool_or(date = $3::date)
),
daily AS (
    SELECT symbol, volume, daily_volume, lowest, highest, base, price_limit * base AS may_move,
           ticks[width_bucket(base, below) + 1] AS base_tick,
           volume_before > 0 AND base > 0
               AND listed_shares_before IS NOT DISTINCT FROM listed_shares AS has_base
    FROM beside
    LEFT JOIN member USING (symbol)
),
by_symbol AS (
    SELECT symbol, rule, judged, judged AND broken AS broken, example
    FROM daily
    CROSS JOIN LATERAL (VALUES
        ('minute_volume', true, volume > daily_volume,
         jsonb_build_object(
             'symbol', symbol, 'minutes', volume, 'daily_bars', daily_volume
         )),
        ('price_limit',
         coalesce(has_base AND may_move IS NOT NULL AND base_tick IS NOT NULL AND lowest > 0, false),
         highest > base + trunc(may_move / base_tick) * base_tick
             OR lowest < base - trunc(may_move / base_tick) * base_tick,
         jsonb_build_object(
             'symbol', symbol, 'previous_close', base, 'low', lowest, 'high', highest
         ))
    ) AS rule (rule, judged, broken, example)
),
of_symbols AS (
    SELECT rule, count(*) FILTER (WHERE judged) AS checked, count(*) FILTER (WHERE broken) AS found,
           jsonb_agg(example ORDER BY symbol COLLATE "C") FILTER (WHERE broken) AS examples
    FROM by_symbol
    GROUP BY rule
)
SELECT rule, checked, found,
       coalesce(jsonb_path_query_array(examples, '$[0 to 19]'), '[]')::text AS examples
FROM (SELECT * FROM of_bars UNION ALL SELECT * FROM of_symbols) AS rules
UNION ALL
SELECT 'symbols', coalesce(sum(bars), 0)::bigint, count(DISTINCT symbol),
       coalesce(jsonb_agg(DISTINCT symbol), '[]')::text
FROM traded
