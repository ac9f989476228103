-- migrate:up

-- What is known of a company when, a row per symbol and span of days, kept as symbols is. The
-- symbol references no row of symbols: that table is dated too, and a span of one is not one of the
-- other.
CREATE TABLE companies (
    symbol text NOT NULL CHECK (symbol ~ '^[0-9A-Z]{6}$'),
    valid_from date NOT NULL,
    valid_to date,
    name text NOT NULL,
    market text NOT NULL,
    sector text,
    industry text,
    products text,
    region text,
    homepage text,
    listing_date date,
    face_value numeric(12,2) CHECK (face_value >= 0),
    PRIMARY KEY (symbol, valid_from),
    CHECK (valid_to > valid_from),
    EXCLUDE USING gist (symbol WITH =, daterange(valid_from, valid_to) WITH &&)
);
-- Who is in an industry.
CREATE INDEX companies_industry_idx ON companies (industry) WHERE valid_to IS NULL;
COMMENT ON TABLE companies IS 'Listed companies, dated';
COMMENT ON COLUMN companies.valid_from IS 'first day of the span';
COMMENT ON COLUMN companies.valid_to IS 'first day after the span; null = still so';
COMMENT ON COLUMN companies.sector IS 'section of the market, as KRX names it';
COMMENT ON COLUMN companies.industry IS 'industry by the Korean standard classification';
COMMENT ON COLUMN companies.listing_date IS 'first session listed; null = not known';
COMMENT ON COLUMN companies.face_value IS
    'par value of a share, KRW (a foreign company''s in its own currency); null = none';

-- SELECT * FROM companies_on('2025-01-02');
CREATE FUNCTION companies_on(session date) RETURNS SETOF companies
LANGUAGE sql STABLE
AS $$
    SELECT * FROM companies
    WHERE valid_from <= session AND (valid_to IS NULL OR valid_to > session)
$$;
COMMENT ON FUNCTION companies_on(date) IS 'Companies as of a session';

CREATE TABLE etf_constituents (
    date date NOT NULL,
    symbol text NOT NULL CHECK (symbol ~ '^[0-9A-Z]{6}$'),
    constituent text NOT NULL CHECK (constituent ~ '^([0-9A-Z]{6}|[A-Z]{2}[0-9A-Z]{10})$'),
    name text NOT NULL,
    shares numeric(18,2),
    value bigint,
    weight numeric(7,2),
    PRIMARY KEY (symbol, date, constituent),
    CHECK (num_nonnulls(shares, value, weight) > 0)
);
-- A session is replaced whole.
CREATE INDEX etf_constituents_date_idx ON etf_constituents (date);
-- Which ETFs hold a share.
CREATE INDEX etf_constituents_constituent_idx ON etf_constituents (constituent, date);
COMMENT ON TABLE etf_constituents IS 'What a creation unit of each ETF holds, by session';
COMMENT ON COLUMN etf_constituents.date IS 'KRX session date, Asia/Seoul';
COMMENT ON COLUMN etf_constituents.symbol IS 'the ETF';
COMMENT ON COLUMN etf_constituents.constituent IS
    'KRX short code; ISIN of what has none, such as cash';
COMMENT ON COLUMN etf_constituents.shares IS 'shares in a creation unit; null = cash, not given';
COMMENT ON COLUMN etf_constituents.value IS 'KRW in a creation unit; null = not given';
COMMENT ON COLUMN etf_constituents.weight IS 'percent of the creation unit''s value';

GRANT SELECT, INSERT, UPDATE, DELETE ON companies TO stockeasy_collector;
GRANT SELECT, INSERT, DELETE ON etf_constituents TO stockeasy_collector;
GRANT SELECT ON companies, etf_constituents TO stockeasy_reader;
REVOKE ALL ON FUNCTION companies_on(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION companies_on(date) TO stockeasy_collector, stockeasy_reader;

-- migrate:down
DROP TABLE etf_constituents;
DROP FUNCTION companies_on(date);
DROP TABLE companies;
