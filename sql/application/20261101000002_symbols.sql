-- migrate:up

-- What was listed when, a row per symbol and span of days over which nothing about it changed.
-- A session's members come from the newest loaded session that is not later.
CREATE TABLE symbols (
    symbol text NOT NULL,
    valid_from date NOT NULL,
    valid_to date,
    name text NOT NULL,
    market text NOT NULL,
    kind text,
    listing_date date,
    delisting_date date,
    PRIMARY KEY (symbol, valid_from),
    CHECK (valid_to > valid_from),
    EXCLUDE USING gist (symbol WITH =, daterange(valid_from, valid_to) WITH &&)
);
COMMENT ON TABLE symbols IS 'Listed symbols, dated';
COMMENT ON COLUMN symbols.valid_from IS 'first day of the span';
COMMENT ON COLUMN symbols.valid_to IS 'first day after the span; null = still so';

-- SELECT * FROM symbols_on('2025-01-02');
CREATE FUNCTION symbols_on(session date) RETURNS SETOF symbols
LANGUAGE sql STABLE
AS $$
    SELECT * FROM symbols
    WHERE valid_from <= session AND (valid_to IS NULL OR valid_to > session)
$$;
COMMENT ON FUNCTION symbols_on(date) IS 'Members of a session';

GRANT SELECT, INSERT, UPDATE, DELETE ON symbols TO stockeasy_collector;
GRANT SELECT ON symbols TO stockeasy_reader;
REVOKE ALL ON FUNCTION symbols_on(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION symbols_on(date) TO stockeasy_collector, stockeasy_reader;

-- migrate:down
DROP FUNCTION symbols_on(date);
DROP TABLE symbols;
